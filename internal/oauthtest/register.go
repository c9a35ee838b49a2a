package oauthtest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// register makes a client (RFC 7591 §3).
func (s *Server) register(w http.ResponseWriter, o Options, body string) {
	answer, refused := s.registration(o, body)
	if refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, cmp.Or(o.RegisterStatus, http.StatusCreated), answer)
}

func (s *Server) registration(o Options, body string) (map[string]any, *refusal) {
	var sent map[string]any
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		return nil, refuse("invalid_client_metadata", "the body is not a JSON object")
	}
	if refused := registrationRefused(o, sent); refused != nil {
		return nil, refused
	}
	c, refused := newClient(sent)
	if refused != nil {
		return nil, refused
	}
	if o.NativeOnly && sent["application_type"] != "native" && slices.ContainsFunc(c.redirects, isLoopback) {
		return nil, refuse("invalid_redirect_uri", "web clients have no loopback redirect URIs")
	}
	c.id = "client-" + rand.Text()
	c.method = cmp.Or(o.AuthMethod, c.method)
	if o.RegisteredRedirects != nil {
		c.redirects = o.RegisteredRedirects
	}
	answer := sent
	answer["client_id"], answer["client_id_issued_at"] = c.id, s.now().Unix()
	answer["redirect_uris"], answer["token_endpoint_auth_method"] = c.redirects, c.method
	if c.method != "none" {
		c.secret = "secret-" + rand.Text()
		answer["client_secret"], answer["client_secret_expires_at"] = c.secret, 0
		if o.SecretTTL != 0 {
			c.secretExpires = s.now().Add(o.SecretTTL)
			answer["client_secret_expires_at"] = c.secretExpires.Unix()
		}
	}
	s.mu.Lock()
	s.records.clients[c.id] = c
	s.mu.Unlock()
	return override(answer, o.Registration), nil
}

// registrationRefused plays the servers that dislike single members.
func registrationRefused(o Options, sent map[string]any) *refusal {
	if _, has := sent["scope"]; has && o.RefuseScope {
		return refuse("invalid_client_metadata", "scope is not allowed")
	}
	for name, v := range sent {
		list, isList := v.([]any)
		if o.RefuseEmpty && (v == "" || v == nil || isList && len(list) == 0) {
			return refuse("invalid_client_metadata", name+" is empty")
		}
	}
	return nil
}

// newClient reads client metadata (RFC 7591 §2), of a registration or a document.
func newClient(sent map[string]any) (*client, *refusal) {
	c := &client{redirects: texts(sent["redirect_uris"]), method: "client_secret_basic"}
	if len(c.redirects) == 0 {
		return nil, refuse("invalid_redirect_uri", "redirect_uris is missing")
	}
	for _, redirect := range c.redirects {
		if u, err := url.Parse(redirect); err != nil || !u.IsAbs() || u.Host == "" || u.Fragment != "" {
			return nil, refuse("invalid_redirect_uri", "a redirect URI is not an absolute URL without a fragment")
		}
	}
	if method, has := sent["token_endpoint_auth_method"]; has {
		c.method, _ = method.(string)
	}
	if !slices.Contains([]string{"none", "client_secret_basic", "client_secret_post"}, c.method) {
		return nil, refuse("invalid_client_metadata", "token_endpoint_auth_method is not known")
	}
	grants := texts(sent["grant_types"])
	if len(grants) > 0 && !slices.Contains(grants, "authorization_code") {
		return nil, refuse("invalid_client_metadata", "grant_types lacks authorization_code")
	}
	c.refreshes = slices.Contains(grants, "refresh_token")
	c.name, _ = sent["client_name"].(string)
	return c, nil
}

func texts(v any) (list []string) {
	items, _ := v.([]any)
	for _, item := range items {
		if text, ok := item.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

func isLoopback(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.IsLoopback()
}
