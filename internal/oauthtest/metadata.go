package oauthtest

import (
	"maps"
	"net/http"
	"strings"
)

// resourceMetadata is where resource metadata lies (RFC 9728 §3.1).
const resourceMetadata = "/.well-known/oauth-protected-resource"

// The scopes that the servers know.
const (
	scopeMCP     = "mcp"
	scopeOffline = "offline_access"
)

// resource answers with the metadata of the MCP server (RFC 9728 §2).
func (s *Server) resource(w http.ResponseWriter, r *http.Request, o Options) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, movedTo), resourceMetadata)
	about := s.resourceAt(path)
	if o.ResourceAtRoot {
		about = map[string]string{"": s.MCP}[path]
	}
	if o.NoResourceMetadata || about == "" || strings.HasSuffix(path, "/") {
		notFound(w, o)
		return
	}
	writeJSON(w, http.StatusOK, override(map[string]any{
		"resource":                 about,
		"authorization_servers":    []string{s.Issuer},
		"scopes_supported":         []string{scopeMCP},
		"bearer_methods_supported": []string{"header"},
	}, o.Resource))
}

// metadata answers with the metadata of the authorization server (RFC 8414 §2).
func (s *Server) metadata(w http.ResponseWriter, r *http.Request, o Options) {
	place := map[Place]string{
		RFC8414:      "/.well-known/oauth-authorization-server" + o.IssuerPath,
		OIDCInserted: "/.well-known/openid-configuration" + o.IssuerPath,
		OIDCAppended: o.IssuerPath + "/.well-known/openid-configuration",
	}
	if path := strings.TrimPrefix(r.URL.Path, movedTo); path != place[o.Metadata] {
		notFound(w, o)
		return
	}
	at := s.issuerOrigin + s.prefix(o)
	m := map[string]any{
		"issuer":                                s.Issuer,
		"authorization_endpoint":                at + "authorize",
		"token_endpoint":                        at + "token",
		"registration_endpoint":                 at + "register",
		"revocation_endpoint":                   at + "revoke",
		"scopes_supported":                      s.scopes(o),
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if o.IssuerSlash {
		m["issuer"] = s.Issuer + "/"
	}
	if o.Iss != IssUnadvertised && o.Iss != IssNone {
		m["authorization_response_iss_parameter_supported"] = true
	}
	if o.ClientDocuments {
		m["client_id_metadata_document_supported"] = true
	}
	if o.PKCEMethods != nil {
		m["code_challenge_methods_supported"] = o.PKCEMethods
	}
	for member, gone := range map[string]bool{"registration_endpoint": o.NoRegistration, "revocation_endpoint": o.NoRevocation,
		"code_challenge_methods_supported": o.PKCEMethods != nil && len(o.PKCEMethods) == 0} {
		if gone {
			delete(m, member)
		}
	}
	writeJSON(w, http.StatusOK, override(m, o.Override))
}

func (s *Server) scopes(o Options) []string {
	all := []string{scopeMCP, adminScope(o)}
	if o.OfflineAccess {
		all = append(all, scopeOffline)
	}
	return all
}

func override(m, with map[string]any) map[string]any {
	maps.Copy(m, with)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}
