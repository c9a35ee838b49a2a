package oauthtest

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

// page is what people see of the authorization server.
//
//go:embed page.html
var page string

func showQuestion(w http.ResponseWriter, id string, q question) {
	show(w, http.StatusOK, map[string]any{"Question": id, "Client": q.name, "User": q.user, "Scopes": strings.Join(q.scopes, ", ")})
}

func showError(w http.ResponseWriter, message string) {
	show(w, http.StatusBadRequest, map[string]any{"Error": message})
}

func show(w http.ResponseWriter, status int, data map[string]any) {
	t, err := template.New("page").Parse(page)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = t.Execute(w, data)
}
