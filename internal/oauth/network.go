package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcpo/internal/tracing"
)

const (
	requestTime = 10 * time.Second // for one request to an authorization server
	answerMax   = 1 << 20          // bytes of its answer
	redirectMax = 3                // within one origin, of a GET
	pathMax     = 2048             // bytes of any URL that metadata names
)

// Network is how authorization servers are reached. Its zero value is the
// system's own; tests put theirs in place of it.
type Network struct {
	// Resolve looks a host name up.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial opens a connection to an address that was checked.
	Dial func(ctx context.Context, network string, address netip.AddrPort) (net.Conn, error)
}

func (n Network) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if n.Resolve != nil {
		return n.Resolve(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (n Network) dial(ctx context.Context, network string, address netip.AddrPort) (net.Conn, error) {
	if n.Dial != nil {
		return n.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address.String())
}

// guard sends requests to addresses that metadata names, which a stranger may
// have written. It looks at each address as it is dialled, so that neither a
// name nor its change of mind (DNS rebinding) leads into a network of ours that
// the configured server does not live in itself.
type guard struct {
	network Network
	// home is the host of the configured server.
	home string
	// abroad says that home was once seen at an address that is not of our
	// networks. Its name then opens none of them any more, whatever it says next.
	abroad atomic.Bool
	// allowed are names, addresses and networks that the operator lists.
	allowed []string
	proxies sync.Map // address of a configured proxy → true
	client  *http.Client
	post    *http.Client // follows no redirect
	log     *slog.Logger
}

func newGuard(network Network, home string, allowed []string, log *slog.Logger) *guard {
	g := &guard{network: network, home: home, allowed: allowed, log: log}
	transport := &http.Transport{
		Proxy: g.proxy, DialContext: g.dialContext, TLSHandshakeTimeout: requestTime,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 4 * time.Second, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
	}
	g.client = &http.Client{Transport: transport, CheckRedirect: sameOriginOnly, Timeout: requestTime}
	g.post = &http.Client{Transport: transport, Timeout: requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return g
}

func (g *guard) close() { g.client.CloseIdleConnections() }

// sameOriginOnly keeps redirects within the origin that was asked.
func sameOriginOnly(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if len(before) > redirectMax {
		return fmt.Errorf("%s redirects too often", first.Host)
	}
	if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host || next.URL.User != nil {
		return fmt.Errorf("%s redirects to another origin, which is not followed", first.Host)
	}
	return nil
}

// proxy is the proxy of the environment. It resolves names itself, so of what
// it is asked for only addresses can be checked.
func (g *guard) proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if u == nil || err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !g.mayReach(r.Context(), r.URL.Hostname(), ip) {
		return nil, &forbiddenAddress{r.URL.Hostname(), kindOf(ip)}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	g.proxies.Store(net.JoinHostPort(u.Hostname(), port), true)
	return u, nil
}

func (g *guard) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if _, ours := g.proxies.Load(address); ours {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, err
	}
	addrs, err := g.network.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(host, g.home) {
		g.seen(addrs...)
	}
	err = fmt.Errorf("%s has no address", clean(host, 100))
	for _, ip := range addrs {
		if !g.mayReach(ctx, host, ip) {
			err = &forbiddenAddress{host, kindOf(ip)}
			continue
		}
		conn, dialErr := g.network.dial(ctx, network, netip.AddrPortFrom(ip, uint16(number)))
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	return nil, err
}

// mayReach decides about an address of host. Link-local ones, where clouds keep
// their secrets, want to be listed.
func (g *guard) mayReach(ctx context.Context, host string, ip netip.Addr) bool {
	kind := kindOf(ip)
	if kind == public || g.lists(host, ip) {
		return true
	}
	if kind != loopback && kind != private {
		return false
	}
	return g.atHome(ctx, kind)
}

// atHome reports whether the configured server lives in networks of this kind.
// Who publishes addresses of ours besides those where the server really is,
// or by turns, is a stranger.
func (g *guard) atHome(ctx context.Context, kind addressKind) bool {
	home, err := g.network.resolve(ctx, g.home)
	if err != nil {
		return false
	}
	g.seen(home...)
	return !g.abroad.Load() && slices.ContainsFunc(home, func(own netip.Addr) bool { return kindOf(own) == kind })
}

// seen is told of addresses of the configured server.
func (g *guard) seen(home ...netip.Addr) {
	for _, own := range home {
		if kind := kindOf(own); kind == public || kind == reserved {
			g.abroad.Store(true)
		}
	}
}

// lists reports whether the operator names a host or its address.
func (g *guard) lists(host string, ip netip.Addr) bool {
	for _, entry := range g.allowed {
		if strings.EqualFold(entry, host) {
			return true
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil && prefix.Contains(ip.Unmap()) {
			return true
		}
		if addr, err := netip.ParseAddr(entry); err == nil && addr.Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}

// answer is what an endpoint said, read whole.
type answer struct {
	status int
	json   bool // its type is JSON, or it has none
	body   []byte
}

// get reads a document.
func (g *guard) get(ctx context.Context, u *url.URL) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	return g.do(g.client, req)
}

// postForm sends a form (RFC 6749 §4.1.3). authorize may set headers.
func (g *guard) postForm(ctx context.Context, u *url.URL, form url.Values, authorize func(http.Header)) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if authorize != nil {
		authorize(req.Header)
	}
	return g.do(g.post, req)
}

func (g *guard) postJSON(ctx context.Context, u *url.URL, value any) (answer, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return g.do(g.post, req)
}

func (g *guard) do(client *http.Client, req *http.Request) (answer, error) {
	req.Header.Set("User-Agent", "mcpo")
	ctx, span := tracing.Start(req.Context(), tracing.Client, req.Method, "")
	defer span.End()
	span.Text("http.request.method", req.Method)
	span.Text("server.address", req.URL.Hostname()) // and nothing more of where a stranger's metadata leads
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		span.Fail(errorType(err))
		return answer{}, fmt.Errorf("asking %s: %w", req.URL.Host, withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	}
	if len(body) > answerMax {
		return answer{}, fmt.Errorf("the answer of %s is larger than 1 MiB", req.URL.Host)
	}
	span.Answer(tracing.Client, resp.StatusCode, "")
	declared, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	g.log.Debug("asked an authorization server", "method", req.Method, "host", req.URL.Host, "path", req.URL.Path, "status", resp.StatusCode)
	return answer{status: resp.StatusCode, body: body,
		json: declared == "" || declared == "application/json" || strings.HasSuffix(declared, "+json")}, nil
}

// withoutURL takes the URL out of an error of net/http, as the query of one may
// hold what is no one's business.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
