package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// network answers names from a list and dials nobody: it notes the address.
type network struct {
	mu     sync.Mutex
	names  map[string][][]string // addresses, for each time that a name is asked for
	dialed []netip.AddrPort
}

var errNoNetwork = errors.New("there is no network in this test")

func (n *network) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := n.names[host]
	if len(answers) == 0 {
		return nil, fmt.Errorf("no such host: %s", host)
	}
	if len(answers) > 1 {
		n.names[host] = answers[1:]
	}
	var addrs []netip.Addr
	for _, text := range answers[0] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

func (n *network) dial(_ context.Context, _ string, address netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialed = append(n.dialed, address)
	return nil, errNoNetwork
}

// at resolves a name to addresses, always.
func at(addrs ...string) [][]string { return [][]string{addrs} }

// reach asks for a URL with the guard of a server at home, and gives what was
// dialled.
func reach(t testing.TB, home, to string, allowed []string, names map[string][][]string) ([]netip.AddrPort, error) {
	t.Helper()
	n := &network{names: names}
	g := newGuard(Network{Resolve: n.resolve, Dial: n.dial}, home, allowed, slog.New(slog.DiscardHandler))
	defer g.close()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.get(testContext(t), u)
	return n.dialed, err
}

// TestPrivateAddresses: none of them is dialled, however it is written, for a
// server that lives in the public internet (threats 10).
func TestPrivateAddresses(t *testing.T) {
	for kind, addresses := range map[addressKind][]string{
		loopback:  {"127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"},
		linkLocal: {"169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"},
		private: {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fc00::1", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:100.64.0.1",
			"64:ff9b::a00:1", "2002:a00:1::"},
		reserved: {"0.1.2.3", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1", "2001:db8::1", "fec0::1", "64:ff9b:1::a00:1",
			"::7f00:1", "::a9fe:a9fe", "2001:0:7f00:1::"},
	} {
		for _, address := range addresses {
			names := map[string][][]string{"auth.example": at(address), "mcp.example": at("8.8.8.8")}
			literal := "https://" + net.JoinHostPort(address, "443") + "/"
			for _, to := range []string{"https://auth.example/", literal} {
				dialed, err := reach(t, "mcp.example", to, nil, names)
				var forbidden *forbiddenAddress
				if !errors.As(err, &forbidden) || len(dialed) > 0 {
					t.Errorf("%s at %s: dialled %v, %v", to, address, dialed, err)
				} else if forbidden.kind != kind || !strings.Contains(err.Error(), "allow_hosts") {
					t.Errorf("%s is %s: %v", address, forbidden.kind, err)
				}
			}
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, address := range []string{"8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "100.128.0.1", "169.253.0.1"} {
		dialed, err := reach(t, "mcp.example", "https://auth.example/", nil, map[string][][]string{"auth.example": at(address)})
		if !errors.Is(err, errNoNetwork) || !slices.Equal(dialed, []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(address), 443)}) {
			t.Errorf("%s: dialled %v, %v", address, dialed, err)
		}
	}
}

// TestNumbersAsHosts: what some resolvers read as an address is looked at as
// what they make of it (threats 10).
func TestNumbersAsHosts(t *testing.T) {
	for _, host := range []string{"2130706433", "0177.0.0.1", "0x7f000001", "127.1", "0x7f.1", "017700000001"} {
		dialed, err := reach(t, "mcp.example", "https://"+host+"/", nil, map[string][][]string{host: at("127.0.0.1"), "mcp.example": at("8.8.8.8")})
		var forbidden *forbiddenAddress
		if !errors.As(err, &forbidden) || len(dialed) > 0 {
			t.Errorf("%s: dialled %v, %v", host, dialed, err)
		}
	}
}

// TestRebinding: the address that was looked at is the one that is dialled
// (threats 10).
func TestRebinding(t *testing.T) {
	names := map[string][][]string{"auth.example": {{"8.8.8.8"}, {"127.0.0.1"}}, "mcp.example": at("8.8.8.8")}
	dialed, err := reach(t, "mcp.example", "https://auth.example/", nil, names)
	if !errors.Is(err, errNoNetwork) || len(dialed) != 1 || dialed[0].Addr() != netip.MustParseAddr("8.8.8.8") {
		t.Errorf("the first time: dialled %v, %v", dialed, err)
	}
	var forbidden *forbiddenAddress
	if dialed, err = reach(t, "mcp.example", "https://auth.example/", nil, names); !errors.As(err, &forbidden) || len(dialed) != 0 {
		t.Errorf("the second time: dialled %v, %v", dialed, err)
	}
	names["auth.example"] = at("10.0.0.1", "8.8.8.8", "127.0.0.1")
	if dialed, _ = reach(t, "mcp.example", "https://auth.example/", nil, names); len(dialed) != 1 || dialed[0].Addr() != netip.MustParseAddr("8.8.8.8") {
		t.Errorf("of several: dialled %v", dialed)
	}
}

// TestAllowHosts: the operator lists names, addresses and networks.
func TestAllowHosts(t *testing.T) {
	for _, test := range []struct {
		allowed, address string
		let              bool
	}{
		{"auth.example", "10.1.2.3", true},
		{"auth.example", "169.254.169.254", true},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"fd00::/8", "fd12::1", true},
		{"other.example", "10.1.2.3", false},
		{"example", "10.1.2.3", false},
		{"10.1.2.4", "10.1.2.3", false},
		{"11.0.0.0/8", "10.1.2.3", false},
		{"*", "10.1.2.3", false},
	} {
		names := map[string][][]string{"auth.example": at(test.address), "mcp.example": at("8.8.8.8")}
		dialed, err := reach(t, "mcp.example", "https://auth.example/", []string{test.allowed}, names)
		if got := len(dialed) == 1; got != test.let {
			t.Errorf("%s with allow_hosts %s: dialled %v, %v", test.address, test.allowed, dialed, err)
		}
	}
}

// TestHomeNetwork: a server at home may have its authorization server there,
// and no server has one where clouds keep their secrets.
func TestHomeNetwork(t *testing.T) {
	for _, test := range []struct {
		home, address string
		let           bool
	}{
		{"192.168.1.2", "10.0.0.1", true},
		{"10.0.0.5", "10.0.0.6", true},
		{"127.0.0.1", "127.0.0.1", true},
		{"::1", "127.0.0.1", true},
		{"fd00::1", "192.168.1.1", true},
		{"8.8.8.8", "10.0.0.1", false},
		{"10.0.0.5", "127.0.0.1", false},
		{"127.0.0.1", "10.0.0.1", false},
		{"127.0.0.1", "169.254.169.254", false},
		{"10.0.0.5", "169.254.169.254", false},
		{"169.254.1.1", "169.254.169.254", false},
	} {
		names := map[string][][]string{"auth.example": at(test.address), "mcp.example": at(test.home)}
		for _, home := range []string{"mcp.example", test.home} {
			dialed, err := reach(t, home, "https://auth.example/", nil, names)
			if got := len(dialed) == 1; got != test.let {
				t.Errorf("%s from %s: dialled %v, %v", test.address, home, dialed, err)
			}
		}
	}
	if dialed, err := reach(t, "unknown.example", "https://auth.example/", nil, map[string][][]string{"auth.example": at("10.0.0.1")}); len(dialed) > 0 || err == nil {
		t.Errorf("with a home that is not known: dialled %v, %v", dialed, err)
	}
}

// TestHomeIsElsewhereToo: a server in the public internet opens none of our
// networks by publishing an address of theirs, besides its own or by turns.
func TestHomeIsElsewhereToo(t *testing.T) {
	for _, own := range []string{"127.0.0.1", "10.0.0.1", "fd00::1"} {
		names := map[string][][]string{"mcp.example": at("8.8.8.8", own), "auth.example": at(own)}
		var forbidden *forbiddenAddress
		if dialed, err := reach(t, "mcp.example", "https://auth.example/", nil, names); !errors.As(err, &forbidden) || len(dialed) > 0 {
			t.Errorf("with %s besides: dialled %v, %v", own, dialed, err)
		}
	}
	n := &network{names: map[string][][]string{"mcp.example": {{"127.0.0.1"}, {"8.8.8.8"}, {"127.0.0.1"}}}}
	g := newGuard(Network{Resolve: n.resolve, Dial: n.dial}, "mcp.example", nil, slog.New(slog.DiscardHandler))
	var may []bool
	for range 3 {
		may = append(may, g.mayReach(testContext(t), "127.0.0.1", netip.MustParseAddr("127.0.0.1")))
	}
	if !slices.Equal(may, []bool{true, false, false}) {
		t.Errorf("of a name that changes its mind: %v", may)
	}
}

// TestHomeOfManyAddresses: all of our networks.
func TestHomeOfManyAddresses(t *testing.T) {
	names := map[string][][]string{"nas.local": at("192.168.1.2", "fd00::2", "fe80::2"), "auth.local": at("192.168.1.3")}
	if dialed, err := reach(t, "nas.local", "https://auth.local/", nil, names); len(dialed) != 1 {
		t.Errorf("dialled %v, %v", dialed, err)
	}
}

// TestServerAnswersElsewhere: where the server was reached counts, and not only
// what its name says when the guard asks.
func TestServerAnswersElsewhere(t *testing.T) {
	a := authorizer(t, "http://mcp.example/mcp", func(o *Options) {
		o.Network.Resolve = (&network{names: map[string][][]string{"mcp.example": at("127.0.0.1")}}).resolve
	})
	home := netip.MustParseAddr("127.0.0.1")
	if !a.guard.mayReach(testContext(t), "127.0.0.1", home) {
		t.Error("a server of this machine is not let at it")
	}
	a.sawServer(httptrace.GotConnInfo{Conn: connTo{to: "8.8.8.8:443"}})
	if a.guard.mayReach(testContext(t), "127.0.0.1", home) {
		t.Error("a server that answers elsewhere is let at this machine")
	}
}

// connTo is a connection as far as its other end's address.
type connTo struct {
	net.Conn
	to string
}

func (c connTo) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.to)) }
