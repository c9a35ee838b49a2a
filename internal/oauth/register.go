package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// registration is mcpo's client id at an authorization server.
type registration struct {
	ClientID   string    `json:"client_id"`
	Secret     string    `json:"client_secret,omitempty"`
	AuthMethod string    `json:"auth_method"` // one of the methods below
	Expires    time.Time `json:"expires,omitzero"`
}

// Methods of authentication at the token endpoint (RFC 7591 §2).
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

// staticClientID stands for a registration where a configuration describes one
// without its id, and the server registers nobody.
const staticClientID = "mcpo-client"

// register takes or makes the registration to log in with: that of the
// configuration, a metadata document's URL, or a dynamic one (RFC 7591), which
// is kept for each issuer and redirect URI.
func (a *Authorizer) register(ctx context.Context, m *Metadata, redirectURI string, who caller.ID) (*registration, error) {
	if byHand := a.byHand(m); byHand != nil {
		return byHand, a.keepIssuerOf(ctx, byHand, m)
	}
	if document := a.documentURL(); document != "" && m.DocumentSupported {
		return &registration{ClientID: document, AuthMethod: authNone}, nil
	}
	if m.RegistrationEndpoint == "" {
		return a.unregistered(m, redirectURI)
	}
	return a.dynamic(ctx, m, redirectURI, who)
}

// documentURL is our Client ID Metadata Document: the configured one, or the
// one that mcpo serves where it is reached over https; "" for none.
func (a *Authorizer) documentURL() string {
	if a.cfg.ClientMetadataURL != "" {
		return a.cfg.ClientMetadataURL
	}
	if strings.HasPrefix(a.publicURL, "https://") {
		return a.publicURL + DocumentPath
	}
	return ""
}

func (a *Authorizer) unregistered(m *Metadata, redirectURI string) (*registration, error) {
	if a.cfg.ClientMetadata == nil {
		return nil, &DiscoveryError{
			Message: fmt.Sprintf("the authorization server %s registers nobody by itself", clean(m.Issuer, 200)),
			Hint: fmt.Sprintf(`register mcpo there by hand, with the redirect URI %s, and write "client_metadata": {"client_id": "…", "client_secret": "…"}`,
				redirectURI),
		}
	}
	a.log.Warn(`the authorization server registers nobody by itself, and client_metadata has no client_id; mcpo tries "`+staticClientID+`". `+
		"Register mcpo there by hand and write its client_id", "issuer", m.Issuer, "redirect_uri", redirectURI)
	return &registration{ClientID: staticClientID, AuthMethod: authNone}, nil
}

// dynamic takes the stored registration, after asking whether it is still
// known, or makes a new one; once, however many ask at the same time.
func (a *Authorizer) dynamic(ctx context.Context, m *Metadata, redirectURI string, who caller.ID) (*registration, error) {
	request := a.registrationRequest(m, redirectURI)
	key := registrationKey(m.Issuer, redirectURI, request)
	ctx, unlock, err := a.store.Lock(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("waiting for a registration in progress: %w", err)
	}
	defer unlock()
	if r, err := a.stored(ctx, key); err != nil {
		return nil, err
	} else if r != nil && (a.inUse(who, r) || a.stillKnown(ctx, m, r, redirectURI)) {
		return r, nil
	}
	r, err := a.makeRegistration(ctx, m, request, redirectURI)
	if err != nil {
		return nil, err
	}
	if r.ClientID == staticClientID { // nobody registered
		return r, nil
	}
	value, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := a.store.Put(ctx, store.Record{Key: key, Value: value, Expires: r.Expires}); err != nil {
		return nil, fmt.Errorf("keeping the registration: %w", err)
	}
	a.log.Info("registered at the authorization server", "issuer", m.Issuer, "client_id", clean(r.ClientID, 100))
	return r, nil
}

func registrationKey(issuer, redirectURI string, request map[string]any) store.Key {
	said, _ := json.Marshal(request) // strings, lists of them, and JSON that was read
	sum := sha256.Sum256(said)
	return store.Key{Kind: store.Registrations, Name: issuer + " " + redirectURI + " " + hex.EncodeToString(sum[:8])}
}

func (a *Authorizer) stored(ctx context.Context, key store.Key) (*registration, error) {
	record, err := a.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the registration: %w", err)
	}
	var r registration
	if err := json.Unmarshal(record.Value, &r); err != nil || r.ClientID == "" {
		return nil, nil
	}
	return &r, nil
}

// inUse reports whether the caller's grant, which just now was good for all but
// its scopes, was given to this registration: then it is known.
func (a *Authorizer) inUse(who caller.ID, r *registration) bool {
	h, ok := a.memory(who)
	return ok && !h.refused && h.Registration.ClientID == r.ClientID && a.MoreScopes(who)
}

// stillKnown asks the token endpoint with a code that nobody was given. Who is
// known there hears that the code is wrong, others that they are not known.
// Otherwise a person would meet the authorization server's error page, of which
// mcpo never hears.
func (a *Authorizer) stillKnown(ctx context.Context, m *Metadata, r *registration, redirectURI string) bool {
	_, err := a.tokenRequest(ctx, m, r, url.Values{
		"grant_type": {"authorization_code"}, "code": {"mcpo-asks-whether-its-registration-is-known"},
		"redirect_uri": {redirectURI}, "code_verifier": {newVerifier()},
	})
	return !unknownRegistration(err)
}

// registrationRequest is what mcpo says of itself (RFC 7591 §2). It has no
// empty members and no scope: some servers refuse either.
func (a *Authorizer) registrationRequest(m *Metadata, redirectURI string) map[string]any {
	request := map[string]any{
		"client_name": "mcpo", "redirect_uris": []string{redirectURI},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": preferredMethod(m), "application_type": applicationType(redirectURI),
	}
	c := a.cfg.ClientMetadata
	if c == nil {
		return request
	}
	for name, value := range c.Extra {
		if !empty(value) {
			request[name] = value
		}
	}
	if c.ClientName != "" {
		request["client_name"] = c.ClientName
	}
	if c.TokenEndpointAuthMethod != "" {
		request["token_endpoint_auth_method"] = c.TokenEndpointAuthMethod
	}
	for name, list := range map[string][]string{"grant_types": c.GrantTypes, "response_types": c.ResponseTypes} {
		if len(list) > 0 {
			request[name] = list
		}
	}
	if len(c.RedirectURIs) > 0 && slices.Contains(c.RedirectURIs, redirectURI) {
		request["redirect_uris"] = c.RedirectURIs
	}
	return request
}

func empty(value json.RawMessage) bool {
	var text bytes.Buffer
	return json.Compact(&text, value) != nil || slices.Contains([]string{"", "null", `""`, "[]", "{}"}, text.String())
}

// preferredMethod is none, as mcpo's registrations have nothing to hide behind
// a secret that PKCE does not give, or what the server offers.
func preferredMethod(m *Metadata) string {
	for _, method := range []string{authNone, authPost, authBasic} {
		if len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, method) {
			return method
		}
	}
	return authNone
}

// applicationType tells servers that this redirect URI is on the person's own
// machine (OpenID Connect Dynamic Client Registration §2).
func applicationType(redirectURI string) string {
	if u, err := url.Parse(redirectURI); err == nil && isLoopbackName(u.Hostname()) {
		return "native"
	}
	return "web"
}

func (a *Authorizer) makeRegistration(ctx context.Context, m *Metadata, request map[string]any, redirectURI string) (*registration, error) {
	u, err := a.guard.checkEndpoint("registration_endpoint", m.RegistrationEndpoint)
	if err != nil {
		return nil, err
	}
	got, err := a.guard.postJSON(ctx, u, request)
	if err != nil {
		return nil, fmt.Errorf("registering: %w", err)
	}
	o, err := got.object()
	if got.status/100 != 2 {
		if m.From == "" && (got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed) {
			return a.unregistered(m, redirectURI) // the endpoint was a guess
		}
		return nil, fmt.Errorf("registering: %w", tokenError(got, o))
	}
	if err != nil {
		return nil, fmt.Errorf("registering: %w", err)
	}
	return readRegistration(o, request, redirectURI)
}

// readRegistration obeys what the server answers (RFC 7591 §3.2.1), within
// reason.
func readRegistration(o object, request map[string]any, redirectURI string) (*registration, error) {
	r := &registration{ClientID: o.text("client_id"), Secret: o.text("client_secret"), AuthMethod: o.text("token_endpoint_auth_method")}
	if r.ClientID == "" || len(r.ClientID) > pathMax || len(r.Secret) > 8<<10 || !printable(r.ClientID) || !printable(r.Secret) {
		return nil, &DiscoveryError{Message: "the authorization server registered mcpo without a usable client_id"}
	}
	if uris := o.texts("redirect_uris"); o.has("redirect_uris") && !slices.Contains(uris, redirectURI) {
		return nil, &DiscoveryError{Message: "the authorization server registered mcpo with another redirect URI than " + redirectURI,
			Hint: `register mcpo there by hand and write "client_metadata": {"client_id": "…"}`}
	}
	if r.AuthMethod == "" {
		r.AuthMethod, _ = request["token_endpoint_auth_method"].(string)
		if r.Secret != "" && r.AuthMethod == authNone {
			r.AuthMethod = authBasic // the default (RFC 7591 §2)
		}
	}
	switch {
	case !slices.Contains([]string{authNone, authBasic, authPost}, r.AuthMethod):
		return nil, &DiscoveryError{Message: fmt.Sprintf("the authorization server wants the authentication method %q, which mcpo does not have", clean(r.AuthMethod, 50))}
	case r.AuthMethod != authNone && r.Secret == "":
		return nil, &DiscoveryError{Message: "the authorization server registered mcpo with a secret that it did not tell"}
	}
	if at, ok := o.seconds("client_secret_expires_at"); ok && r.Secret != "" {
		if r.Expires = time.Unix(0, 0).Add(at); time.Until(r.Expires) < time.Minute {
			return nil, &DiscoveryError{Message: "the authorization server registered mcpo with a secret that has already expired",
				Hint: "compare the clocks of both machines"}
		}
	}
	return r, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// DocumentPath is where mcpo serves its Client ID Metadata Document, below the
// public URL.
const DocumentPath = "/oauth/client-metadata.json"

// Document is mcpo's Client ID Metadata Document
// (draft-ietf-oauth-client-id-metadata-document): its client_id is the address
// that it is read from.
func Document(publicURL string, redirectURIs []string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"client_id": publicURL + DocumentPath, "client_name": "mcpo", "client_uri": publicURL,
		"redirect_uris": redirectURIs, "grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": authNone,
	})
}
