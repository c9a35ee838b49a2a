package config

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// clientKeys are the members of client_metadata that mcpo knows the use of.
func clientKeys() []string {
	return []string{"client_name", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "client_id",
		"client_secret", "scope", "authorization_endpoint", "token_endpoint"}
}

// furtherClientKeys are those that it passes on as they are (RFC 7591 §2, and
// OpenID Connect Dynamic Client Registration §2).
func furtherClientKeys() []string {
	return []string{"client_uri", "logo_uri", "contacts", "tos_uri", "policy_uri", "jwks_uri", "jwks", "software_id", "software_version",
		"software_statement", "application_type"}
}

func knownClient(key string) bool {
	// A name may be in a language, as in client_name#de.
	plain, _, _ := strings.Cut(key, "#")
	return slices.Contains(clientKeys(), key) || slices.Contains(furtherClientKeys(), plain) || plain == "client_name"
}

func (r *reader) clientMetadata(v hujson.Value, path string) *ClientMetadata {
	members, ok := r.object(v, path)
	if !ok {
		return nil
	}
	c := &ClientMetadata{}
	for _, m := range members {
		key := nameOf(m)
		at := join(path, key)
		switch {
		case isNull(m.Value): // as if it were not there
		case r.clientMember(c, m.Value, key, at) || r.discovered(c, m.Value, key, at):
		default:
			if !knownClient(key) {
				r.oddClientKey(m, at)
			}
			if c.Extra == nil {
				c.Extra = map[string]json.RawMessage{}
			}
			c.Extra[key] = r.block(m.Value, at)
		}
	}
	r.clientSecret(c, v, path)
	return c
}

// clientMember reads a member that mcpo uses, and reports whether it is one.
func (r *reader) clientMember(c *ClientMetadata, v hujson.Value, key, path string) bool {
	switch key {
	case "client_name":
		c.ClientName = r.filled(v, path, "write a name that people know, or remove the line")
	case "redirect_uris":
		c.RedirectURIs = r.redirectURIs(v, path)
	case "grant_types":
		c.GrantTypes = r.listWith(v, path, "authorization_code")
	case "response_types":
		c.ResponseTypes = r.listWith(v, path, "code")
	case "token_endpoint_auth_method":
		c.TokenEndpointAuthMethod = r.oneOf(v, path, "none", "client_secret_basic", "client_secret_post")
	case "client_id":
		c.ClientID = r.filled(v, path, "write the id that the OAuth server gave, or remove the line")
	case "client_secret":
		c.ClientSecret = Secret(r.filled(v, path, "write the secret that the OAuth server gave, or remove the line"))
	default:
		return false
	}
	return true
}

// discovered reads a member that the OAuth server rather tells itself, and
// reports whether it is one.
func (r *reader) discovered(c *ClientMetadata, v hujson.Value, key, path string) bool {
	const hint = "write https://host/path, or remove the line"
	switch key {
	case "scope":
		c.Scope = strings.Join(r.scopes(v, path), " ")
	case "authorization_endpoint":
		c.AuthorizationEndpoint = r.text(v, path)
		r.webURL(v, path, hint, c.AuthorizationEndpoint)
	case "token_endpoint":
		c.TokenEndpoint = r.text(v, path)
		r.webURL(v, path, hint, c.TokenEndpoint)
	default:
		return false
	}
	r.warn(v, path, "remove the line unless the login fails without it", "this is discovered; what is written here serves only where discovery finds nothing")
	return true
}

func (r *reader) oddClientKey(m hujson.ObjectMember, path string) {
	hint := "registrations have no such member (RFC 7591)"
	if near := meant(nameOf(m), append(clientKeys(), furtherClientKeys()...)); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.warn(m.Name, path, hint, "this key is unknown and is sent to the OAuth server as it is")
}

// clientSecret checks that what belongs together is together.
func (r *reader) clientSecret(c *ClientMetadata, v hujson.Value, path string) {
	secret := given(v, "client_secret")
	switch {
	case secret && !given(v, "client_id"):
		r.problem(at(v, "client_secret"), join(path, "client_secret"), `write "client_id": "…", which came with it`, "a client_secret needs a client_id")
	case secret && c.TokenEndpointAuthMethod == "none":
		r.problem(at(v, "token_endpoint_auth_method"), join(path, "token_endpoint_auth_method"), "keep one of the two", "a client with a client_secret has a method other than none")
	case c.ClientID != "" && !secret && strings.HasPrefix(c.TokenEndpointAuthMethod, "client_secret_"):
		r.problem(at(v, "token_endpoint_auth_method"), join(path, "token_endpoint_auth_method"), `write "client_secret": "${VARIABLE}", or the method none`,
			"the method %s needs a client_secret", c.TokenEndpointAuthMethod)
	}
}

// redirectURIs reads where browsers come back to (RFC 6749 §3.1.2).
func (r *reader) redirectURIs(v hujson.Value, path string) []string {
	uris := r.filledList(v, path)
	for i, s := range uris {
		const hint = "write http://localhost:3030/callback, or https://HOST/oauth/SERVER/callback"
		u := r.webURL(element(v, i), elementPath(path, i), hint, s)
		if u != nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			r.warn(element(v, i), elementPath(path, i), "use https", "the code travels in the open to this address; most OAuth servers refuse it")
		}
	}
	return uris
}

// listWith reads a list of strings that must hold one of them.
func (r *reader) listWith(v hujson.Value, path, needed string) []string {
	before := len(r.problems)
	list := r.filledList(v, path)
	if len(r.problems) == before && !slices.Contains(list, needed) {
		r.problem(v, path, "add it, or remove the line", "%q is missing, which mcpo logs in with", needed)
	}
	return list
}
