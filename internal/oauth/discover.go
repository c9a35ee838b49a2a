package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"mcpo/internal/config"
)

// Discovered is where grants for a server come from.
type Discovered struct {
	// Status is what the server answered to a request without a token.
	Status    int
	Challenge Challenge
	// Resource is nil when the server publishes no metadata.
	Resource *Resource
	Metadata *Metadata
	// Indicator is the resource parameter (RFC 8707), "" for none.
	Indicator string
}

// initializeBody is a first message, as any MCP client would send. What the
// server does with it does not matter: a protected one refuses it unread.
const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcpo","version":"1"}}}`

// listBody asks for the tools.
const listBody = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

// Discover finds out where grants for the server come from, anchored at the
// server's own URL. Errors are *[DiscoveryError], or those of the network.
func (a *Authorizer) Discover(ctx context.Context) (*Discovered, error) {
	d := &Discovered{}
	var err error
	if d.Status, d.Challenge, err = a.probe(ctx); err != nil {
		return d, err
	}
	if d.Resource, err = a.findResource(ctx, d.Challenge); err != nil {
		return d, err
	}
	d.Indicator = a.resourceIndicator(d.Resource)
	d.Metadata, err = a.chooseIssuer(ctx, d.Resource)
	return d, err
}

// probe asks the server without a token, to hear its challenge: for its
// tools, which even those protect that let anybody begin, and then as a client
// begins, where the first is refused for another reason.
func (a *Authorizer) probe(ctx context.Context) (status int, c Challenge, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if a.transport == config.SSE {
		return a.ask(ctx, http.MethodGet, "")
	}
	for _, body := range []string{listBody, initializeBody} {
		if status, c, err = a.ask(ctx, http.MethodPost, body); err != nil || status == http.StatusUnauthorized {
			return status, c, err
		}
	}
	return status, c, err
}

// ask sends one message without a token.
func (a *Authorizer) ask(ctx context.Context, method, body string) (int, Challenge, error) {
	to := a.url
	for range redirectMax {
		resp, err := a.send(ctx, method, to, body, "")
		if err != nil {
			return 0, Challenge{}, fmt.Errorf("asking the server: %w", err)
		}
		if next, err := to.Parse(resp.Header.Get("Location")); err == nil && resp.StatusCode/100 == 3 && originOf(next) == originOf(to) && next.User == nil {
			to = next
			continue
		}
		if session := resp.Header.Get(sessionHeader); session != "" { // nobody goes on with it
			_, _ = a.send(ctx, http.MethodDelete, to, "", session)
		}
		c, _ := ParseChallenge(resp.Header)
		return resp.StatusCode, c, nil
	}
	return 0, Challenge{}, errors.New("the server redirects too often")
}

const sessionHeader = "Mcp-Session-Id"

// send sends a request without a token to the server. The answer's body is left
// unread: where no token is wanted, it may be a stream.
func (a *Authorizer) send(ctx context.Context, method string, to *url.URL, body, session string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range a.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if session != "" {
		req.Header.Set(sessionHeader, session)
	}
	if proxy, err := a.direct.Proxy(req); proxy == nil && err == nil {
		req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.sawServer}))
	}
	resp, err := a.direct.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// sawServer tells the guard where the server really answers, as its name may
// say something else when the guard asks.
func (a *Authorizer) sawServer(info httptrace.GotConnInfo) {
	if at, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
		a.guard.seen(at.Addr())
	}
}

// chooseIssuer picks the authorization server: of those that the resource
// metadata names the configured one, or the first; without metadata the
// configured one, and last the server's own origin (MCP 2025-03-26).
func (a *Authorizer) chooseIssuer(ctx context.Context, r *Resource) (*Metadata, error) {
	if r != nil && len(r.AuthorizationServers) > 0 {
		named := r.AuthorizationServers
		i := slices.IndexFunc(named, func(s string) bool { return sameURL(s, a.configured()) })
		return a.metadata(ctx, named[max(i, 0)])
	}
	for _, base := range a.bases() {
		m, err := a.findMetadataAt(ctx, base)
		if errors.Is(err, errNoMetadata) {
			continue
		}
		if err == nil {
			a.mu.Lock()
			a.known[m.Issuer] = m
			a.mu.Unlock()
		}
		return m, err
	}
	return a.metadata(ctx, a.bases()[0])
}

// configured is the configuration's server_url, "" when it leaves that open.
func (a *Authorizer) configured() string {
	if a.cfg.ServerURL == "auto" {
		return ""
	}
	return a.cfg.ServerURL
}

// bases are where an authorization server is looked for that nobody names: the
// configured address, its origin, and the server's own.
func (a *Authorizer) bases() []string {
	var bases []string
	if configured := a.configured(); configured != "" {
		bases = append(bases, configured)
		if u, err := url.Parse(configured); err == nil && strings.Trim(u.Path, "/") != "" {
			bases = append(bases, originOf(u))
		}
	}
	if own := originOf(a.url); !slices.Contains(bases, own) {
		bases = append(bases, own)
	}
	return bases
}
