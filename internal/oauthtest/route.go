package oauthtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
)

// movedTo is what Redirects puts before a path.
const movedTo = "/moved"

// Endpoint is the URL of "authorize", "token", "register" or "revoke".
func (s *Server) Endpoint(name string) string {
	return s.issuerOrigin + s.prefix(s.options()) + name
}

// prefix is the path that endpoints lie under: not one that a guess would find,
// unless there is no metadata and guessing is all there is.
func (s *Server) prefix(o Options) string {
	if o.Metadata == Nowhere {
		return "/"
	}
	return o.IssuerPath + "/oauth/"
}

// endpoint names what a path on an origin is, "" for nothing.
func (s *Server) endpoint(o Options, here, path string) string {
	if here == s.mcpOrigin {
		if s.resourceAt(path) != "" {
			return "mcp"
		}
		if strings.HasPrefix(path, resourceMetadata) {
			return "resource"
		}
	}
	if here != s.issuerOrigin {
		return ""
	}
	switch path {
	case "/.well-known/oauth-authorization-server" + o.IssuerPath,
		"/.well-known/openid-configuration" + o.IssuerPath,
		o.IssuerPath + "/.well-known/openid-configuration":
		return "metadata"
	}
	name, ok := strings.CutPrefix(path, s.prefix(o))
	switch {
	case !ok:
		return ""
	case name == "register" && o.NoRegistration, name == "revoke" && o.NoRevocation:
		return ""
	}
	return name
}

// resourceAt is the MCP endpoint at a path, "" for none.
func (s *Server) resourceAt(path string) string {
	at := s.mcpOrigin + strings.TrimSuffix(strings.TrimPrefix(path, movedTo), "/")
	if at == s.MCP || at == s.Second {
		return at
	}
	return ""
}

// answer is where every request comes in.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, here string) {
	o := s.options()
	path, moved := strings.CutPrefix(r.URL.Path, movedTo)
	name := s.endpoint(o, here, path)
	if moved {
		name = cmp.Or(s.endpoint(o, s.issuerOrigin, path), s.endpoint(o, s.mcpOrigin, path))
	}
	form, body := url.Values{}, ""
	if name != "mcp" {
		form, body = read(w, r)
	}
	if name == "token" && form.Get("grant_type") == "refresh_token" {
		name = "refresh"
	}
	if moved {
		s.traffic.record("moved", r, form, body)
	} else {
		s.traffic.record(name, r, form, body)
	}
	switch {
	case o.Redirects[name] != 0 && !moved:
		s.redirect(w, r, here, o.Redirects[name])
	case s.instead(w, r, o, name):
	case name == "mcp":
		if s.wait(w, r, name) {
			s.serveMCP(w, r, o)
		}
	default:
		// The work is done first, so that an answer that is kept back or never
		// arrives has had its effect.
		done := httptest.NewRecorder()
		s.work(done, r, o, name, form, body)
		if !s.wait(w, r, name) {
			return
		}
		if s.loses(o, name) {
			cut(w)
			return
		}
		maps.Copy(w.Header(), done.Header())
		w.WriteHeader(done.Code)
		_, _ = w.Write(done.Body.Bytes())
	}
}

func (s *Server) work(w http.ResponseWriter, r *http.Request, o Options, name string, form url.Values, body string) {
	postOnly := slices.Contains([]string{"register", "token", "refresh", "revoke"}, name)
	if postOnly && r.Method != http.MethodPost {
		http.Error(w, "this endpoint takes POST", http.StatusMethodNotAllowed)
		return
	}
	switch name {
	case "resource":
		s.resource(w, r, o)
	case "metadata":
		s.metadata(w, r, o)
	case "register":
		s.register(w, o, body)
	case "authorize":
		s.authorize(w, r, o, form)
	case "login":
		s.login(w, r, form)
	case "consent":
		s.consent(w, r, o, form)
	case "token", "refresh":
		s.token(w, r, o, form)
	case "revoke":
		s.revoke(w, r, o, form)
	default:
		notFound(w, o)
	}
}

// read takes the body apart: a form, or else the query.
func read(w http.ResponseWriter, r *http.Request) (form url.Values, body string) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost {
		return r.URL.Query(), ""
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return url.Values{}, string(b)
	}
	form, err = url.ParseQuery(string(b))
	if err != nil {
		form = url.Values{}
	}
	return form, string(b)
}

func (s *Server) redirect(w http.ResponseWriter, r *http.Request, here string, to Redirect) {
	if to == CrossOrigin {
		here = s.Other
		if s.issuerOrigin == s.Other {
			here = s.mcpOrigin
		}
	}
	http.Redirect(w, r, here+movedTo+r.URL.RequestURI(), http.StatusTemporaryRedirect)
}

// instead plays Options.Instead.
func (s *Server) instead(w http.ResponseWriter, r *http.Request, o Options, name string) bool {
	a, ok := o.Instead[name]
	if !ok {
		return false
	}
	s.mu.Lock()
	s.spent[name]++
	over := a.Times > 0 && s.spent[name] > a.Times
	s.mu.Unlock()
	if over {
		return false
	}
	if !s.wait(w, r, name) {
		return true
	}
	maps.Copy(w.Header(), a.Header)
	w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
	_, _ = io.WriteString(w, a.Body)
	for chunk := bytes.Repeat([]byte(" "), 64<<10); a.Pad > 0; a.Pad -= len(chunk) {
		if _, err := w.Write(chunk[:min(a.Pad, len(chunk))]); err != nil {
			return true
		}
	}
	return true
}

// loses tells whether this answer is one of those that Options.Lose means.
func (s *Server) loses(o Options, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[name]++
	return s.lost[name] <= o.Lose[name]
}

// cut ends the connection; there is nothing to do if that does not work.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// wait keeps an answer back as Hold says. It is false if that ended with the
// server or the request, and there is nothing to answer.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, name string) bool {
	gate := s.traffic.gate(name)
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-s.closed:
	case <-r.Context().Done():
	}
	cut(w)
	return false
}

func notFound(w http.ResponseWriter, o Options) {
	if o.HTMLForUnknown {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>An application</title><div id=app></div>")
		return
	}
	http.Error(w, "not found", http.StatusNotFound)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// repeats tells whether a parameter comes twice, which only resource may
// (RFC 6749 §3.1, RFC 8707 §2).
func repeats(form url.Values) bool {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return true
		}
	}
	return false
}

// refusal is an error as OAuth writes it (RFC 6749 §5.2).
type refusal struct {
	status            int
	code, description string
}

func refuse(code, description string) *refusal {
	return &refusal{http.StatusBadRequest, code, description}
}

func (e *refusal) write(w http.ResponseWriter) {
	writeJSON(w, e.status, map[string]string{"error": e.code, "error_description": e.description})
}
