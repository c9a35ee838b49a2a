package config

import (
	"strings"

	"github.com/tailscale/hujson"
)

// Identity says how mcpo finds out who asks.
type Identity struct {
	// WebUISecretKey verifies the session tokens of Open WebUI, whose
	// WEBUI_SECRET_KEY it is; "" when not told.
	WebUISecretKey Secret
	// ForwardJWTSecrets verify the token that Open WebUI makes for each call,
	// with its FORWARD_USER_INFO_HEADER_JWT_SECRET. Any of them will do, so that
	// a key can be changed; nil when not told.
	ForwardJWTSecrets []Secret
	// TrustUserHeaders believes the plain user headers of requests that carry
	// mcpo's key. It never stands together with ForwardJWTSecrets.
	TrustUserHeaders bool
	// OIDC verifies the tokens of an OpenID provider; nil without the block.
	OIDC *OIDC
	// WebUIURL is where Open WebUI answers; "" when not told.
	WebUIURL string
}

// OIDC is an OpenID provider, and for whom its tokens have to be (OpenID
// Connect Core §3.1.3.7). Neither is empty.
type OIDC struct{ Issuer, Audience string }

// identity reads the block of that name.
func (r *reader) identity(v hujson.Value, path string) (id Identity) {
	if isNull(v) {
		return id
	}
	members, ok := r.object(v, path)
	if !ok {
		return id
	}
	for _, m := range members {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "webui_secret_key":
			id.WebUISecretKey = r.webUIKey(m.Value, at)
		case key == "forward_jwt_secret":
			id.ForwardJWTSecrets = r.forwardKeys(m.Value, at)
		case key == "trust_user_headers":
			id.TrustUserHeaders = r.boolean(m.Value, at)
		case key == "oidc":
			id.OIDC = r.oidc(m.Value, at)
		case key == "webui_url":
			id.WebUIURL = r.webUIURL(m.Value, at)
		default:
			r.unknown(m, path, []string{"webui_secret_key", "forward_jwt_secret", "trust_user_headers", "oidc", "webui_url"})
		}
	}
	if id.TrustUserHeaders && given(v, "forward_jwt_secret") {
		r.problem(at(v, "trust_user_headers"), join(path, "trust_user_headers"), "keep forward_jwt_secret, and remove this line",
			"plain user headers are refused where the signed one is wanted, so only one of the two can stand")
	}
	return id
}

// forwardKeys reads one key, or a list for a change of keys. Empty ones would
// switch verification off unseen.
func (r *reader) forwardKeys(v hujson.Value, path string) []Secret {
	const hint = "write the FORWARD_USER_INFO_HEADER_JWT_SECRET of Open WebUI, or remove the line"
	list, isList := v.Value.(*hujson.Array)
	if !isList {
		return []Secret{Secret(r.filled(v, path, hint))}
	}
	if len(list.Elements) == 0 {
		r.problem(v, path, hint, "there are no keys")
	}
	keys := make([]Secret, 0, len(list.Elements))
	for i, e := range list.Elements {
		keys = append(keys, Secret(r.filled(e, elementPath(path, i), hint)))
	}
	return keys
}

// oidc reads a provider. Without an audience, a token for any other program of
// that provider would do.
func (r *reader) oidc(v hujson.Value, path string) *OIDC {
	members, ok := r.object(v, path)
	if !ok {
		return nil
	}
	const issuer, audience = "https://HOST, the OpenID provider's issuer", "whom its tokens are for, as the aud of one says"
	o := &OIDC{}
	for _, m := range members {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "issuer":
			o.Issuer = r.issuer(m.Value, at, "write "+issuer)
		case key == "audience":
			o.Audience = r.filled(m.Value, at, "write "+audience)
		default:
			r.unknown(m, path, []string{"issuer", "audience"})
		}
	}
	if !given(v, "issuer") {
		r.problem(v, path, `write "issuer": "`+issuer+`"`, "oidc needs an issuer")
	}
	if !given(v, "audience") {
		r.problem(v, path, `write "audience": "…", `+audience, "oidc needs an audience")
	}
	return o
}

// issuer reads an issuer's identifier, an https URL without a query (OpenID
// Connect Discovery §3). On this machine http will do. It is kept as it is, for
// it has to match the provider's own to the letter.
func (r *reader) issuer(v hujson.Value, path, hint string) string {
	s := r.filled(v, path, hint)
	switch u := r.webURL(v, path, hint, s); {
	case u == nil:
	case u.RawQuery != "" || u.ForceQuery:
		r.problem(v, path, hint, "the URL has a query, ? and what follows")
	case strings.Contains(s, " "): // which stands between the two in a caller's name
		r.problem(v, path, hint, "the URL has a space")
	case u.Scheme != "https" && !loopback(u.Hostname()):
		r.problem(v, path, hint, "this must be an https URL, for whoever reads along could sign tokens of their own")
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		r.problem(v, path, "leave /.well-known/openid-configuration out", "this is the address of the provider's metadata, not its issuer")
	}
	return s
}

// webUIURL reads where Open WebUI answers, without the slash at its end. An
// empty text is what an unset ${VAR:-} gives, and says nothing.
func (r *reader) webUIURL(v hujson.Value, path string) string {
	const hint = "write https://HOST, as people open Open WebUI"
	s := r.text(v, path)
	if u := r.webURL(v, path, hint, s); u != nil && (u.RawQuery != "" || u.ForceQuery) {
		r.problem(v, path, hint, "the URL has a query, ? and what follows")
	}
	return strings.TrimRight(s, "/")
}
