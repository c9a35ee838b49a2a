package config

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// OAuth says how callers log in at the OAuth server that protects an MCP
// server (MCP specification, Authorization).
type OAuth struct {
	// ServerURL is the OAuth server's address, or "auto" for whatever the MCP
	// server names (RFC 9728).
	ServerURL string
	// CallbackPort is where the browser of the person at this machine comes
	// back to, unless UseLoopback is false and the address is pasted.
	CallbackPort int
	UseLoopback  bool
	// StorageType is "file" or "memory".
	StorageType string
	// MultiUser gives every caller a grant of its own; without it all share one.
	MultiUser bool
	// WebUISecretKey verifies Open WebUI's tokens; "" when not told.
	WebUISecretKey Secret
	// SessionTimeout closes a caller's connection that rested as long.
	SessionTimeout time.Duration
	// ClientMetadata is what to register with; nil without the block.
	ClientMetadata *ClientMetadata
	// ClientMetadataURL is an https URL that stands for a registration (Client
	// ID Metadata Document); "" when not told.
	ClientMetadataURL string
	// Scopes, unless nil, are the only ones to ask for.
	Scopes []string
	// Resource is "auto", "off", or the URI to ask tokens for (RFC 8707).
	Resource string
	// AuthorizeParams go along in the authorization request.
	AuthorizeParams map[string]string
	// AllowMissingPKCE accepts an OAuth server that does not say it knows S256
	// (RFC 7636), AllowUnverifiedJWT callers whose token no key verifies.
	AllowMissingPKCE, AllowUnverifiedJWT bool
	// AllowHosts are names and addresses in lower case, and networks such as
	// 10.0.0.0/8, where the OAuth server may be though they are private.
	AllowHosts []string
	// Catalog is "shared" when tools that one caller sees may be listed to
	// those without a grant, or "private".
	Catalog string
}

// ClientMetadata is what mcpo says of itself when it registers (RFC 7591 §2),
// and what the OAuth server said when a person registered it by hand.
type ClientMetadata struct {
	ClientName                              string
	RedirectURIs, GrantTypes, ResponseTypes []string
	// TokenEndpointAuthMethod is none, client_secret_basic, client_secret_post,
	// or "" when not told.
	TokenEndpointAuthMethod string
	// ClientID and ClientSecret are of a registration by hand.
	ClientID     string
	ClientSecret Secret
	// Scope, AuthorizationEndpoint and TokenEndpoint serve only where the OAuth
	// server says nothing itself.
	Scope, AuthorizationEndpoint, TokenEndpoint string
	// Extra are other members to register with, none of them null.
	Extra map[string]json.RawMessage
}

// oauth reads the oauth block of a server over HTTP.
func (r *reader) oauth(v hujson.Value, path string) *OAuth {
	members, ok := r.object(v, path)
	if !ok {
		return nil
	}
	o := &OAuth{CallbackPort: 3030, UseLoopback: true, StorageType: "file", MultiUser: true, SessionTimeout: 30 * time.Minute,
		Resource: "auto", Catalog: "shared"}
	if !given(v, "server_url") {
		r.noServerURL(v, path)
	}
	for _, m := range members {
		key := nameOf(m)
		if isNull(m.Value) { // as if it were not there
			continue
		}
		if at := join(path, key); !r.oauthMember(o, m.Value, key, at) && !r.oauthSwitch(o, m.Value, key, at) {
			r.unknownOAuth(m, path)
		}
	}
	return o
}

func (r *reader) noServerURL(v hujson.Value, path string) {
	r.problem(v, path, `write "server_url": "https://HOST", the OAuth server's address without /mcp, or "auto" to ask the MCP server for it`,
		"OAuth server_url required")
}

func (r *reader) unknownOAuth(m hujson.ObjectMember, path string) {
	if key := nameOf(m); knownClient(key) && meant(key, oauthKeys[:]) == "" {
		r.warn(m.Name, join(path, key), "write it inside client_metadata", "this key is unknown here and has no effect")
		return
	}
	r.unknown(m, path, oauthKeys[:])
}

// oauthMember reads one of the keys that most configurations need, and reports
// whether it is one.
func (r *reader) oauthMember(o *OAuth, v hujson.Value, key, path string) bool {
	switch key {
	case "server_url":
		o.ServerURL = r.oauthServer(v, path)
	case "callback_port":
		o.CallbackPort = r.port(v, path)
	case "use_loopback":
		o.UseLoopback = r.boolean(v, path)
	case "storage_type":
		o.StorageType = r.oneOf(v, path, "file", "memory")
	case "multi_user":
		o.MultiUser = r.boolean(v, path)
	case "webui_secret_key":
		o.WebUISecretKey = r.webUIKey(v, path)
	case "session_timeout_minutes":
		o.SessionTimeout = r.minutes(v, path)
	case "client_metadata":
		o.ClientMetadata = r.clientMetadata(v, path)
	default:
		return false
	}
	return true
}

// oauthSwitch reads one of the keys for OAuth servers with ways of their own,
// and reports whether it is one.
func (r *reader) oauthSwitch(o *OAuth, v hujson.Value, key, path string) bool {
	switch key {
	case "client_metadata_url":
		o.ClientMetadataURL = r.clientMetadataURL(v, path)
	case "scopes":
		o.Scopes = r.scopes(v, path)
	case "resource":
		o.Resource = r.resource(v, path)
	case "authorize_params":
		o.AuthorizeParams = r.authorizeParams(v, path)
	case "allow_missing_pkce":
		o.AllowMissingPKCE = r.boolean(v, path)
	case "allow_unverified_jwt":
		o.AllowUnverifiedJWT = r.boolean(v, path)
	case "allow_hosts":
		o.AllowHosts = r.hosts(v, path)
	case "catalog":
		o.Catalog = r.oneOf(v, path, "shared", "private")
	default:
		return false
	}
	return true
}

// oauthServer reads server_url: an issuer, which has neither query nor fragment
// (RFC 8414 §2).
func (r *reader) oauthServer(v hujson.Value, path string) string {
	before := len(r.problems)
	s := r.text(v, path)
	switch {
	case len(r.problems) > before || s == "auto":
		return s
	case s == "":
		r.noServerURL(v, path)
		return s
	}
	hint := `write https://HOST, the OAuth server's address without /mcp, or "auto"`
	u := r.webURL(v, path, hint, s)
	switch {
	case u == nil:
	case u.RawQuery != "" || u.ForceQuery:
		r.problem(v, path, hint, "the URL has a query, ? and what follows")
	case strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/mcp"):
		r.warn(v, path, `leave /mcp out, or write "auto"`, "this looks like the MCP server's address, not the OAuth server's")
	}
	return s
}

// webUIKey reads Open WebUI's key. An empty one would switch verification off
// unseen.
func (r *reader) webUIKey(v hujson.Value, path string) Secret {
	key := r.filled(v, path, "write the WEBUI_SECRET_KEY of Open WebUI, or remove the line")
	if key == openWebUIDefault {
		r.warn(v, path, "give Open WebUI a WEBUI_SECRET_KEY of your own, and write it here", "this is the key that Open WebUI is published with: everybody knows it")
	}
	return Secret(key)
}

const openWebUIDefault = "t0p-s3cr3t"
