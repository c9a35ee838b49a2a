package oauthtest

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token answers with tokens (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request, o Options, form url.Values) {
	c, refused := s.authenticate(r, o, form)
	if repeats(form) {
		refused = refuse("invalid_request", "a parameter is repeated")
	}
	answer := map[string]any{}
	if refused == nil {
		switch form.Get("grant_type") {
		case "authorization_code":
			answer, refused = s.exchange(o, c, form)
		case "refresh_token":
			answer, refused = s.refresh(o, c, form)
		default:
			refused = refuse("unsupported_grant_type", "grant_type is not known")
		}
	}
	answer = override(answer, o.Token)
	switch {
	case refused != nil:
		if o.ErrorsAreOK {
			refused.status = http.StatusOK
		}
		refused.write(w)
	case o.FormEncoded:
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		_, _ = io.WriteString(w, asForm(answer).Encode())
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func asForm(answer map[string]any) url.Values {
	form := url.Values{}
	for name, v := range answer {
		switch v := v.(type) {
		case string:
			form.Set(name, v)
		case int:
			form.Set(name, strconv.Itoa(v))
		}
	}
	return form
}

// authenticate finds the client that asks, and checks its secret in the way
// that it registered for (RFC 6749 §2.3.1).
func (s *Server) authenticate(r *http.Request, o Options, form url.Values) (*client, *refusal) {
	id, secret, method := form.Get("client_id"), form.Get("client_secret"), "client_secret_post"
	if secret == "" {
		method = "none"
	}
	if name, password, basic := r.BasicAuth(); basic {
		if method != "none" {
			return nil, refuse("invalid_request", "the client authenticates in two ways")
		}
		method = "client_secret_basic"
		id, secret = unescape(name), unescape(password)
	}
	unknown := &refusal{http.StatusUnauthorized, "invalid_client", "the client is not known"}
	c := s.client(r.Context(), o, id)
	if c == nil || o.InvalidClient {
		return nil, unknown
	}
	expired := !c.secretExpires.IsZero() && !s.now().Before(c.secretExpires)
	if c.method != "" && method != c.method || expired || subtle.ConstantTimeCompare([]byte(secret), []byte(c.secret)) == 0 {
		unknown.description = "the client did not authenticate as it registered"
		return nil, unknown
	}
	return c, nil
}

func unescape(s string) string {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return text
}

// exchange takes a code (RFC 6749 §4.1.3). A code that is used again ends what
// it gave (§4.1.2).
func (s *Server) exchange(o Options, c *client, form url.Values) (map[string]any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.records.codes[form.Get("code")]
	bad := &refusal{cmp.Or(o.GrantErrorStatus, http.StatusBadRequest), "invalid_grant", ""}
	switch {
	case k == nil || k.client != c.id:
		bad.description = "the code is not known"
	case k.grant != nil:
		k.grant.over = true
		bad.description = "the code was used already"
	case !s.now().Before(k.expires):
		bad.description = "the code has expired"
	case k.redirect != form.Get("redirect_uri"):
		bad.description = "redirect_uri is not that of the authorization"
	case !proves(k.challenge, form.Get("code_verifier")):
		bad.description = "code_verifier does not fit"
	}
	if bad.description != "" {
		return nil, bad
	}
	if refused := s.resourceRefused(o, form.Get("resource"), k.resource); refused != nil {
		return nil, refused
	}
	k.grant = &grant{client: c.id, user: k.user, resource: k.resource, scopes: k.scopes}
	answer := s.issue(o, k.grant, k.scopes)
	if k.offline {
		answer["refresh_token"] = s.records.newRefresh(k.grant, s.now().Add(cmp.Or(o.RefreshTTL, 30*24*time.Hour)))
	}
	return answer, nil
}

// proves checks PKCE (RFC 7636 §4.6). Without a challenge there is no verifier.
func proves(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return len(verifier) >= 43 && len(verifier) <= 128 && base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// refresh takes a refresh token (RFC 6749 §6).
func (s *Server) refresh(o Options, c *client, form url.Values) (map[string]any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.records.refresh[form.Get("refresh_token")]
	if old != nil && old.replaced {
		s.records.replays++
	}
	bad := &refusal{cmp.Or(o.GrantErrorStatus, http.StatusBadRequest), "invalid_grant", "the refresh token is not known"}
	if old == nil || old.client != c.id || old.over || !s.now().Before(old.expires) {
		return nil, bad
	}
	if old.used && o.Rotation == RotateStrictly {
		old.over = true
		bad.description = "the refresh token was used already; the whole grant is over"
		return nil, bad
	}
	scopes := old.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		scopes = asked
	}
	if slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(old.scopes, scope) }) {
		return nil, refuse("invalid_scope", "a scope was not granted")
	}
	if refused := s.resourceRefused(o, form.Get("resource"), old.resource); refused != nil {
		return nil, refused
	}
	if o.RefreshedScope != "" {
		scopes = strings.Fields(o.RefreshedScope)
	}
	answer := s.issue(o, old.grant, scopes)
	s.rotate(o, old, form.Get("refresh_token"), answer)
	return answer, nil
}

func (s *Server) rotate(o Options, old *refresh, token string, answer map[string]any) {
	switch o.Rotation {
	case RotateStrictly, RotateKindly:
		old.replaced, old.used = true, o.Rotation == RotateStrictly
		answer["refresh_token"] = s.records.newRefresh(old.grant, s.now().Add(cmp.Or(o.RefreshTTL, 30*24*time.Hour)))
	case RepeatToken:
		answer["refresh_token"] = token
	}
}

// issue makes an access token and the answer that carries it (RFC 6749 §5.1).
func (s *Server) issue(o Options, g *grant, scopes []string) map[string]any {
	ttl := cmp.Or(o.AccessTTL, time.Hour)
	answer := map[string]any{
		"access_token": s.records.newAccess(g, scopes, s.now().Add(ttl)),
		"token_type":   cmp.Or(o.TokenType, "Bearer"),
		"expires_in":   int(ttl.Seconds()),
		"scope":        strings.Join(scopes, " "),
	}
	switch o.ExpiresIn {
	case AsString:
		answer["expires_in"] = strconv.Itoa(int(ttl.Seconds()))
	case Missing:
		delete(answer, "expires_in")
	}
	return answer
}
