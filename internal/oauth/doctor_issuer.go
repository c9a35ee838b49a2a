package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
)

// findIssuer finds the authorization server as a login does.
func (d *doctor) findIssuer(ctx context.Context) {
	const topic = "authorization server"
	issuer, named := d.namedIssuer()
	if named {
		d.add(topic, OK, "", "the resource metadata names %s", clean(strings.Join(d.resource.AuthorizationServers, ", "), 300))
		d.readMetadata(ctx, issuer, true)
		return
	}
	if d.resource != nil {
		d.add(topic, Missing, "", "the resource metadata names none")
	}
	candidates := d.a.bases()
	for _, candidate := range candidates {
		if d.readMetadata(ctx, candidate, false) {
			return
		}
	}
	if d.status/100 == 2 && d.resource == nil && d.a.configured() == "" {
		d.Open = true
		d.add(topic, OK, "", "there is none, and the server lets everyone in: no login is needed")
		return
	}
	d.defaults(candidates[0])
}

// namedIssuer is the issuer that a login takes of those that the resource
// metadata names.
func (d *doctor) namedIssuer() (issuer string, named bool) {
	if d.resource == nil || len(d.resource.AuthorizationServers) == 0 {
		return "", false
	}
	all := d.resource.AuthorizationServers
	i := slices.IndexFunc(all, func(s string) bool { return sameURL(s, d.a.configured()) })
	if i < 0 && d.a.configured() != "" {
		d.add("authorization server", Wrong, fmt.Sprintf(`write "server_url": %q, or "auto"`, clean(all[0], 200)),
			"server_url is %s, which the resource metadata does not name", d.a.configured())
	}
	return all[max(i, 0)], true
}

// find reads metadata as Discover does.
func (d *doctor) find(ctx context.Context, issuer string, named bool) (*Metadata, error) {
	if named {
		return d.a.findMetadata(ctx, issuer)
	}
	return d.a.findMetadataAt(ctx, issuer)
}

// readMetadata reads an issuer's metadata; found is false when it has none. Of
// an issuer that somebody names nothing else is tried.
func (d *doctor) readMetadata(ctx context.Context, issuer string, named bool) (found bool) {
	const topic = "metadata"
	m, err := d.find(ctx, issuer, named)
	switch {
	case m != nil: // whatever is wrong with it is told of one by one
		d.Metadata = m
		d.add(topic, OK, "", "found at %s", clean(m.From, 200))
		if sameURL(m.Issuer, issuer) || !named && contains(issuer, m.Issuer) {
			d.add("issuer", OK, "", "it is the one that was asked: %s", clean(m.Issuer, 200))
			return true
		}
		fix := fmt.Sprintf(`if that is the right one, write "server_url": %q`, clean(m.Issuer, 200))
		if named {
			fix = "the server's operator has to let both documents name the same issuer"
		}
		d.block("issuer", fix, "the metadata names the issuer %q instead of %q", clean(m.Issuer, 200), clean(issuer, 200))
		return true
	case errors.Is(err, errNoMetadata) && named:
		d.add(topic, Missing, "", "%s publishes none (RFC 8414, OpenID Connect Discovery)", clean(issuer, 200))
		d.defaults(issuer)
	case errors.Is(err, errNoMetadata):
		d.add(topic, Missing, "", "%s publishes none (RFC 8414, OpenID Connect Discovery)", clean(issuer, 200))
		return false
	default:
		d.failed(topic, err)
	}
	return true
}

// defaults is for an issuer without metadata.
func (d *doctor) defaults(issuer string) {
	m, err := d.a.withoutMetadata(issuer)
	if err != nil {
		d.failed("metadata", err)
		return
	}
	d.Metadata = m
	d.add("metadata", Missing, `if the authorization server is another, write its address as "server_url"`,
		"the endpoints are guessed: %s, %s", m.AuthorizationEndpoint, m.TokenEndpoint)
}

// connection looks at the connection to the authorization server: its
// certificate and clock. Requests go where a login's go, and nowhere else.
func (d *doctor) connection(ctx context.Context) {
	place := d.Metadata.From
	if place == "" {
		place = d.Metadata.TokenEndpoint
	}
	u, err := d.a.guard.checkEndpoint("address", place)
	if err != nil || originOf(u) == originOf(d.a.url) { // looked at already
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return
	}
	sent := time.Now()
	resp, err := d.a.guard.client.Do(req)
	if err != nil {
		return // the endpoints tell
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
	d.aboutTLS("certificate", u, resp.TLS)
	d.aboutClock("clock", resp.Header, sent)
}

// fixFor is what to do about an error of the network, "" where that is not
// known.
func fixFor(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case is[x509.UnknownAuthorityError](err):
		return "let this machine trust the authority that made the certificate: add it to the system's, or name its PEM file in SSL_CERT_FILE"
	case isInvalid && invalid.Reason == x509.Expired:
		return "the certificate, or this machine's clock, is out of date"
	case is[x509.HostnameError](err):
		return "the certificate is for another name; use that one, or have it made anew"
	case is[*net.DNSError](err):
		return "this machine does not know that name; check its spelling, and the machine's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there; check the port, and whether it runs"
	case isNet && timeout.Timeout():
		return "nobody answers; check the address, and firewalls and proxies between"
	}
	return ""
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
