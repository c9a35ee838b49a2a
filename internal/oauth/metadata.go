package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Metadata is what is known of an authorization server (RFC 8414 §2, OpenID
// Connect Discovery §3). Endpoints that it does not have are empty.
type Metadata struct {
	// From is the URL that it was read from; "" when there was none, and the
	// endpoints are the defaults of MCP 2025-03-26 or the configuration's.
	From   string
	Issuer string

	AuthorizationEndpoint, TokenEndpoint, RegistrationEndpoint, RevocationEndpoint string

	Scopes, AuthMethods, ChallengeMethods, GrantTypes []string
	// IssInCallback is authorization_response_iss_parameter_supported (RFC 9207 §3).
	IssInCallback bool
	// DocumentSupported is client_id_metadata_document_supported.
	DocumentSupported bool

	read time.Time
}

// metadataPlaces are the URLs where an issuer's metadata can be: RFC 8414 §3.1
// with the path inserted, OpenID Connect with the path inserted and appended.
func metadataPlaces(issuer *url.URL) []string {
	origin, path := originOf(issuer), strings.TrimSuffix(issuer.EscapedPath(), "/")
	places := []string{origin + "/.well-known/oauth-authorization-server" + path, origin + "/.well-known/openid-configuration" + path}
	if path != "" {
		places = append(places, origin+path+"/.well-known/openid-configuration")
	}
	return places
}

// findMetadata reads an issuer's metadata; the error is errNoMetadata when it
// has none.
func (a *Authorizer) findMetadata(ctx context.Context, issuer string) (*Metadata, error) {
	u, err := a.guard.checkEndpoint("issuer", issuer)
	if err != nil {
		return nil, err
	}
	for _, place := range metadataPlaces(u) {
		from, err := url.Parse(place)
		if err != nil {
			return nil, err
		}
		got, err := a.guard.get(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("reading the authorization server's metadata: %w", err)
		}
		if got.status >= 500 {
			return nil, fmt.Errorf("reading the authorization server's metadata: %s answered with status %d", u.Host, got.status)
		}
		o, err := got.object()
		if got.status != http.StatusOK || err != nil || !o.has("issuer") && !o.has("token_endpoint") {
			continue
		}
		m := metadataOf(o)
		m.From, m.read = place, time.Now()
		return m, a.checkMetadata(m, issuer)
	}
	return nil, errNoMetadata
}

// findMetadataAt is findMetadata for an address that nobody claims to be an
// issuer: the base of the configuration's server, or the server's origin. There
// the issuer is whom the metadata names, if it is the same or lies below.
func (a *Authorizer) findMetadataAt(ctx context.Context, base string) (*Metadata, error) {
	m, err := a.findMetadata(ctx, base)
	if m != nil && !sameURL(m.Issuer, base) && contains(base, m.Issuer) {
		return m, a.checkMetadata(m, m.Issuer)
	}
	return m, err
}

func metadataOf(o object) *Metadata {
	return &Metadata{
		Issuer:                o.text("issuer"),
		AuthorizationEndpoint: o.text("authorization_endpoint"), TokenEndpoint: o.text("token_endpoint"),
		RegistrationEndpoint: o.text("registration_endpoint"), RevocationEndpoint: o.text("revocation_endpoint"),
		Scopes: o.texts("scopes_supported"), AuthMethods: o.texts("token_endpoint_auth_methods_supported"),
		ChallengeMethods: o.texts("code_challenge_methods_supported"), GrantTypes: o.texts("grant_types_supported"),
		IssInCallback:     o.flag("authorization_response_iss_parameter_supported"),
		DocumentSupported: o.flag("client_id_metadata_document_supported"),
	}
}

// checkMetadata holds a document to be the issuer's (RFC 8414 §3.3), its
// endpoints to be such as may be asked, and the server to know PKCE.
func (a *Authorizer) checkMetadata(m *Metadata, issuer string) error {
	if !sameURL(m.Issuer, issuer) {
		return &DiscoveryError{
			Message: fmt.Sprintf("the metadata at %s names the issuer %q instead of %q", m.From, clean(m.Issuer, 200), clean(issuer, 200)),
			Hint:    `if that is the right one, write it as "server_url"`,
		}
	}
	for _, e := range []struct {
		what, url string
		needed    bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, true},
		{"token_endpoint", m.TokenEndpoint, true},
		{"registration_endpoint", m.RegistrationEndpoint, false},
		{"revocation_endpoint", m.RevocationEndpoint, false},
	} {
		if e.url == "" && !e.needed {
			continue
		}
		if e.url == "" {
			return &DiscoveryError{Message: fmt.Sprintf("the metadata at %s has no %s", m.From, e.what)}
		}
		if _, err := a.guard.checkEndpoint(e.what, e.url); err != nil {
			return err
		}
	}
	if slices.Contains(m.ChallengeMethods, "S256") {
		return nil
	}
	if a.cfg.AllowMissingPKCE {
		a.log.Warn("the authorization server does not say that it knows PKCE; allow_missing_pkce lets it pass", "issuer", m.Issuer)
		return nil
	}
	return &DiscoveryError{
		Message: fmt.Sprintf("the authorization server %s does not say that it supports PKCE with S256 (code_challenge_methods_supported), which OAuth 2.1 asks for", clean(m.Issuer, 200)),
		Hint:    `if it is known to work all the same, write "allow_missing_pkce": true`,
	}
}

// withoutMetadata is for an issuer that publishes nothing: the endpoints of the
// configuration, or the defaults of MCP 2025-03-26 at the issuer's origin.
func (a *Authorizer) withoutMetadata(issuer string) (*Metadata, error) {
	u, err := a.guard.checkEndpoint("issuer", issuer)
	if err != nil {
		return nil, err
	}
	m := &Metadata{Issuer: issuer, read: time.Now(),
		AuthorizationEndpoint: originOf(u) + "/authorize", TokenEndpoint: originOf(u) + "/token", RegistrationEndpoint: originOf(u) + "/register"}
	c := a.cfg.ClientMetadata
	if c == nil || c.AuthorizationEndpoint == "" && c.TokenEndpoint == "" {
		return m, nil
	}
	m.RegistrationEndpoint = ""
	if c.AuthorizationEndpoint != "" {
		m.AuthorizationEndpoint = c.AuthorizationEndpoint
	}
	if c.TokenEndpoint != "" {
		m.TokenEndpoint = c.TokenEndpoint
	}
	if _, err := a.guard.checkEndpoint("authorization_endpoint", m.AuthorizationEndpoint); err != nil {
		return nil, err
	}
	_, err = a.guard.checkEndpoint("token_endpoint", m.TokenEndpoint)
	return m, err
}

// metadataAge is how long metadata is used before it is read again.
const metadataAge = 10 * time.Minute

// metadata gives an issuer's metadata, from memory when it is fresh enough.
func (a *Authorizer) metadata(ctx context.Context, issuer string) (*Metadata, error) {
	a.mu.Lock()
	known := a.known[issuer]
	a.mu.Unlock()
	if known != nil && time.Since(known.read) < metadataAge {
		return known, nil
	}
	m, err := a.findMetadata(ctx, issuer)
	if errors.Is(err, errNoMetadata) {
		m, err = a.fallback(ctx, issuer)
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.known[issuer] = m
	a.known[m.Issuer] = m
	a.mu.Unlock()
	return m, nil
}

// fallback is for an issuer without metadata at its own address: it may have
// been found by a base, or publish nothing at all.
func (a *Authorizer) fallback(ctx context.Context, issuer string) (*Metadata, error) {
	for _, base := range a.bases() {
		m, err := a.findMetadataAt(ctx, base)
		if err == nil && m.Issuer == issuer {
			return m, nil
		}
		var other *DiscoveryError // what is wrong with another's metadata is not this issuer's
		if err != nil && !errors.Is(err, errNoMetadata) && !errors.As(err, &other) {
			return nil, err
		}
	}
	return a.withoutMetadata(issuer)
}

// forget makes the next login discover everything anew.
func (a *Authorizer) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.known)
}
