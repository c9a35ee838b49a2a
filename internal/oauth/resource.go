package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Resource is a server's Protected Resource Metadata (RFC 9728 §2), as far as
// it is used.
type Resource struct {
	// From is the URL that it was read from.
	From string
	// Resource is the server's identifier, as the document writes it.
	Resource             string
	AuthorizationServers []string
	Scopes               []string
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// resourcePlaces are the URLs where a server's metadata can be, in order: what
// its challenge says (RFC 9728 §5.1), with the path inserted, at the root
// (§3.1).
func resourcePlaces(server *url.URL, c Challenge) []string {
	origin := originOf(server)
	places := []string{}
	if c.ResourceMetadata != "" {
		places = append(places, c.ResourceMetadata)
	}
	if path := strings.TrimSuffix(server.EscapedPath(), "/"); path != "" {
		places = append(places, origin+wellKnownResource+path)
	}
	return append(places, origin+wellKnownResource)
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// findResource reads a server's metadata. It is nil when the server has none.
func (a *Authorizer) findResource(ctx context.Context, c Challenge) (*Resource, error) {
	for _, place := range resourcePlaces(a.url, c) {
		u, err := a.placeOf(place)
		if err != nil {
			return nil, err
		}
		got, err := a.guard.get(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("reading the resource metadata: %w", err)
		}
		if got.status >= 500 {
			return nil, fmt.Errorf("reading the resource metadata: %s answered with status %d", u.Host, got.status)
		}
		o, err := got.object()
		if got.status != http.StatusOK || err != nil || !o.has("resource") {
			continue // an HTML page, or a 404: there is none here
		}
		r := &Resource{From: place, Resource: o.text("resource"), AuthorizationServers: o.texts("authorization_servers"), Scopes: limited(o.texts("scopes_supported"))}
		if err := a.checkResource(r); err != nil {
			return nil, err
		}
		return r, nil
	}
	return nil, nil
}

// placeOf reads the address of resource metadata. On the server's own origin,
// which the operator wrote, it may be http.
func (a *Authorizer) placeOf(place string) (*url.URL, error) {
	u, err := a.guard.checkEndpoint("address of the resource metadata", place)
	if err == nil {
		return u, nil
	}
	own, parseErr := url.Parse(place)
	if parseErr != nil || originOf(own) != originOf(a.url) || own.User != nil {
		return nil, err
	}
	return own, nil
}

// checkResource holds the metadata to be this server's (RFC 9728 §3.3): its
// identifier is the server's URL, a slash at the end apart, or the one that is
// configured. Many servers identify themselves by an address above that of
// their endpoint on the same origin, which is the same party, and is accepted
// too.
func (a *Authorizer) checkResource(r *Resource) error {
	own := a.url.String()
	if sameURL(r.Resource, own) || contains(r.Resource, own) {
		return nil
	}
	if c := a.cfg.Resource; c != "auto" && c != "off" && sameURL(r.Resource, c) {
		return nil
	}
	return &DiscoveryError{
		Message: fmt.Sprintf("the metadata at %s is for the resource %q, not for this server", clean(r.From, 200), clean(r.Resource, 200)),
		Hint:    `if that is the same server, use this address as its "url" in the configuration`,
	}
}

// contains reports whether above is the address of a folder that below lies in.
func contains(above, below string) bool {
	a, errA := url.Parse(above)
	b, errB := url.Parse(below)
	if errA != nil || errB != nil || a.RawQuery != "" || a.Fragment != "" || a.User != nil || lower(a.Scheme) != lower(b.Scheme) || lower(a.Host) != lower(b.Host) {
		return false
	}
	path := b.EscapedPath()
	if strings.Contains(path, "..") || strings.Contains(strings.ToLower(path), "%2e") {
		return false
	}
	return strings.HasPrefix(path, strings.TrimSuffix(a.EscapedPath(), "/")+"/")
}

// sameURL compares identifiers: exactly, but for one slash at the end, and for
// the letters' case of scheme and host (RFC 3986 §6.2.2.1).
func sameURL(a, b string) bool {
	return a != "" && canonical(a) == canonical(b)
}

func canonical(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if !ok || scheme == "" || host == "" {
		return s
	}
	return strings.TrimSuffix(lower(scheme)+"://"+lower(host)+rest[len(host):], "/")
}

// lower is strings.ToLower for ASCII alone: no other letter becomes one of it.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// resourceIndicator is the value of the resource parameter (RFC 8707 §2), ""
// for none.
func (a *Authorizer) resourceIndicator(r *Resource) string {
	switch {
	case a.cfg.Resource == "off":
		return ""
	case a.cfg.Resource != "" && a.cfg.Resource != "auto":
		return a.cfg.Resource
	case r != nil:
		return r.Resource
	}
	u := *a.url
	u.Fragment, u.User = "", nil
	u.Host, u.Scheme = strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	return u.String()
}

var errNoMetadata = errors.New("there is no metadata")
