package oauthtest

import (
	"net/http"
	"net/url"
)

// revoke ends a token (RFC 7009 §2): a refresh token with its whole grant, an
// access token alone. A token that is not known is as good as revoked.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, o Options, form url.Values) {
	c, refused := s.authenticate(r, o, form)
	if refused != nil {
		refused.write(w)
		return
	}
	token := form.Get("token")
	if token == "" {
		refuse("invalid_request", "token is missing").write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.records.refresh[token]; old != nil && old.client == c.id {
		old.over = true
	}
	if old := s.records.access[token]; old != nil && old.client == c.id {
		delete(s.records.access, token)
	}
	w.WriteHeader(http.StatusOK)
}
