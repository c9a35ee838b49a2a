package oauth

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// forbiddenAddress is a host that the guard does not let through.
type forbiddenAddress struct {
	host string
	kind addressKind
}

// Error implements error.
func (e *forbiddenAddress) Error() string {
	return fmt.Sprintf(`%s is a %s address, where mcpo's requests for metadata and tokens do not go; if that is right, write "allow_hosts": [%q]`,
		clean(e.host, 100), e.kind, clean(e.host, 100))
}

// addressKind tells networks apart.
type addressKind string

const (
	public    addressKind = "public"
	loopback  addressKind = "loopback"
	private   addressKind = "private"
	linkLocal addressKind = "link-local"
	reserved  addressKind = "reserved"
)

// These embed an IPv4 address: NAT64 (RFC 6052) and 6to4 (RFC 3056).
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	// special are blocks of the IANA special-purpose registries that net/netip
	// has no name for.
	special = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("3fff::/20"),
	}
	shared = netip.MustParsePrefix("100.64.0.0/10") // carrier-grade NAT (RFC 6598)
)

func kindOf(ip netip.Addr) addressKind {
	ip = ip.Unmap().WithZone("")
	if b := ip.As16(); nat64.Contains(ip) {
		return kindOf(netip.AddrFrom4([4]byte(b[12:16])))
	} else if sixToFour.Contains(ip) {
		return kindOf(netip.AddrFrom4([4]byte(b[2:6])))
	}
	switch {
	case ip.IsLoopback(), ip.IsUnspecified(): // connecting to 0.0.0.0 reaches this machine
		return loopback
	case ip.IsLinkLocalUnicast():
		return linkLocal
	case ip.IsPrivate(), shared.Contains(ip):
		return private
	case !ip.IsValid(), ip.IsMulticast():
		return reserved
	}
	for _, p := range special {
		if p.Contains(ip) {
			return reserved
		}
	}
	return public
}

// checkEndpoint refuses URLs that are not to be asked, or shown to a browser:
// https only, and http where it does not leave this machine or the operator
// lists the host.
func (g *guard) checkEndpoint(what, text string) (*url.URL, error) {
	wrong := func(why string) error {
		return &DiscoveryError{Message: fmt.Sprintf("the %s %q %s", what, clean(text, 100), why)}
	}
	if len(text) > pathMax {
		return nil, wrong("is longer than 2 kB")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(text, "\"<>\\^`{|}") {
		return nil, wrong("has characters that no URL has")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Hostname() == "" {
		return nil, wrong("is no absolute URL")
	}
	if strings.ContainsAny(u.Host, "!$&'()*+,;=~") { // net/url lets them through, DNS has none
		return nil, wrong("has a host that cannot be")
	}
	if u.User != nil {
		return nil, wrong("holds a name or password")
	}
	if u.Fragment != "" || strings.Contains(text, "#") {
		return nil, wrong("has a fragment")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (isLoopbackName(u.Hostname()) || g.lists(u.Hostname(), addrOf(u.Hostname()))):
	case u.Scheme == "http":
		return nil, &DiscoveryError{Message: fmt.Sprintf("the %s %q is not https", what, clean(text, 100)),
			Hint: fmt.Sprintf(`if its network can be trusted, write "allow_hosts": [%q]`, clean(u.Hostname(), 100))}
	default:
		return nil, wrong("is neither https nor http")
	}
	return u, nil
}

func addrOf(host string) netip.Addr {
	ip, _ := netip.ParseAddr(host)
	return ip
}

func isLoopbackName(host string) bool {
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
