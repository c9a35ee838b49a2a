// Command protected is the MCP server of package fast behind a login: the
// authorization server is that of oauthtest, where everyone approves at once.
// It is a process of its own, so that none of this is in what is measured.
//
//	protected ADDRESS
//
//	/open      the MCP server for everybody
//	/closed    the same for who brings an access token
//	/state     GET: what bench wants to know of it, as JSON
//	/expire    POST: access tokens are not good any longer, and new ones live
//	           for so many seconds (life=…)
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"mcpo/bench/upstream/fast"
	"mcpo/internal/oauthtest"
)

func main() {
	s, err := oauthtest.New(oauthtest.Options{AutoApprove: true})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	tools, err := fast.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/open", tools)
	mux.Handle("/closed", protect(s, tools))
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": s.Issuer, "resource": s.MCP, "refreshes": s.Requests("refresh")})
	})
	mux.HandleFunc("POST /expire", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.FormValue("life"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Set(func(o *oauthtest.Options) { o.AccessTTL = time.Duration(seconds) * time.Second })
		s.Expire()
	})
	log.Fatal(http.ListenAndServe(os.Args[1], mux))
}

// protect lets in who brings a token that is good now. It looks no further: the
// tokens are for the MCP server that oauthtest has itself, and nobody asks that.
func protect(s *oauthtest.Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !s.Active(token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
