package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"mcpo/internal/store"
)

// byHand is the registration that the configuration has, or nil.
func (a *Authorizer) byHand(m *Metadata) *registration {
	c := a.cfg.ClientMetadata
	if c == nil || c.ClientID == "" {
		return nil
	}
	r := &registration{ClientID: c.ClientID, Secret: c.ClientSecret.Reveal(), AuthMethod: c.TokenEndpointAuthMethod}
	switch {
	case r.AuthMethod != "":
	case r.Secret == "":
		r.AuthMethod = authNone
	case len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, authBasic) && slices.Contains(m.AuthMethods, authPost):
		r.AuthMethod = authPost
	default:
		r.AuthMethod = authBasic // what every server has (RFC 8414 §2)
	}
	return r
}

// issuerKey is where it is kept which authorization server a registration by
// hand was first used at.
func (a *Authorizer) issuerKey(byHand *registration) store.Key {
	return store.Key{Kind: store.Registrations, Server: a.name, Name: "by hand " + byHand.ClientID}
}

// keepIssuerOf is checkIssuerOf for a login that begins. It remembers the first
// authorization server, and any that the operator names.
func (a *Authorizer) keepIssuerOf(ctx context.Context, byHand *registration, m *Metadata) error {
	if byHand.Secret == "" {
		return nil
	}
	key := a.issuerKey(byHand)
	ctx, unlock, err := a.store.Lock(ctx, key)
	if err != nil {
		return fmt.Errorf("waiting for another login to begin: %w", err)
	}
	defer unlock()
	if err := a.checkIssuerOf(ctx, byHand, m); err != nil {
		return err
	}
	if first, err := a.firstIssuer(ctx, byHand); err != nil || first == m.Issuer {
		return err
	}
	if err := a.store.Put(ctx, store.Record{Key: key, Value: []byte(m.Issuer)}); err != nil {
		return fmt.Errorf("keeping the authorization server of client_secret: %w", err)
	}
	return nil
}

// firstIssuer is the authorization server that a registration by hand was first
// used at, "" for none.
func (a *Authorizer) firstIssuer(ctx context.Context, byHand *registration) (string, error) {
	record, err := a.store.Get(ctx, a.issuerKey(byHand))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the authorization server of client_secret: %w", err)
	}
	return string(record.Value), nil
}

// checkIssuerOf keeps a secret that the operator wrote from authorization
// servers that only the MCP server names. A server_url at the MCP server itself
// says as little as "auto" of where the secret is from: there the first one
// that is used counts.
func (a *Authorizer) checkIssuerOf(ctx context.Context, byHand *registration, m *Metadata) error {
	configured, err := url.Parse(a.cfg.ServerURL)
	issuer, issuerErr := url.Parse(m.Issuer)
	if byHand.Secret == "" || err == nil && sameURL(a.cfg.ServerURL, m.Issuer) {
		return nil
	}
	if err == nil && issuerErr == nil && configured.Host != "" && canonical(originOf(configured)) != canonical(originOf(a.url)) {
		if canonical(originOf(configured)) == canonical(originOf(issuer)) {
			return nil
		}
		return &DiscoveryError{
			Message: fmt.Sprintf("the server wants logins at %q, and client_secret is for %s", clean(m.Issuer, 200), originOf(configured)),
			Hint:    `if that is right, write it as "server_url"`,
		}
	}
	first, err := a.firstIssuer(ctx, byHand)
	if err != nil || first == "" || sameURL(first, m.Issuer) {
		return err
	}
	return &DiscoveryError{
		Message: fmt.Sprintf("the server now wants logins at %q, and client_secret was for %q so far", clean(m.Issuer, 200), clean(first, 200)),
		Hint:    `if that is right, write it as "server_url", or write the "client_id" of a registration there and log out and in again`,
	}
}
