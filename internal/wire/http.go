package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxRedirects   = 5
	statusBodyMax  = 64 << 10 // bytes read of an answer outside of 2xx
	statusBodyKept = 1 << 10  // bytes kept of it in a StatusError
)

// HTTPOptions say where a server is that speaks MCP over HTTP, and how to ask.
type HTTPOptions struct {
	// URL is the server's MCP endpoint, http or https.
	URL string
	// Header is sent with every request. Headers that belong to the transport
	// (Accept, Content-*, Mcp-*, …) are left out; Host names a virtual host.
	Header http.Header
	// RoundTripper sends the requests; nil means a pool of connections that
	// belongs to the Conn alone. An error of its that has a method NotExecuted,
	// and is true there, promises that the server did not run the request.
	RoundTripper http.RoundTripper
	Handler      Handler
	// Listen asks for what the server sends outside of any call, such as
	// notifications/tools/list_changed, at the price of a lasting request.
	Listen bool
	// Log may be nil.
	Log *slog.Logger
}

// peer is the HTTP server at the other end. Both HTTP transports send all
// their requests through it.
type peer struct {
	url    *url.URL
	err    error // why url cannot be used; nil when it can
	host   string
	header http.Header // of every request
	trip   http.RoundTripper
	own    *http.Transport // trip, where it is not shared with others
	log    *slog.Logger
}

func newPeer(o HTTPOptions) *peer {
	p := &peer{header: configuredHeader(o.Header), host: o.Header.Get("Host"), trip: o.RoundTripper, log: o.Log}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.trip == nil {
		p.own = NewTransport()
		p.trip = p.own
	}
	if p.header.Get("User-Agent") == "" {
		p.header.Set("User-Agent", "mcpo")
	}
	p.url, p.err = endpointURL(o.URL)
	if p.err == nil && p.url.User != nil {
		password, _ := p.url.User.Password()
		if p.header.Get("Authorization") == "" {
			basic := http.Request{Header: p.header}
			basic.SetBasicAuth(p.url.User.Username(), password)
		}
		p.url.User = nil
	}
	return p
}

// endpointURL parses a URL. Its errors do not repeat it, as it may hold keys.
func endpointURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the server's URL is not an http or https URL")
	}
	u.Fragment = ""
	return u, nil
}

// NewTransport is a pool for many calls at once to one server. An idle
// connection is given up before the 5 seconds after which widespread servers
// (uvicorn, Node.js) close theirs: a call that meets a closing connection may
// have run, and cannot be sent again.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        4 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// send sends one request and returns the answer, whatever its status. It
// follows redirects within the origin, with method and body unchanged; the
// headers never reach another origin. Its errors are NotExecuted when no
// connection was there to write the request to.
func (p *peer) send(ctx context.Context, method string, to *url.URL, header http.Header, body []byte) (*http.Response, error) {
	if p.err != nil {
		return nil, notExecuted{p.err}
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	for range maxRedirects {
		resp, err := p.trip.RoundTrip(p.request(ctx, method, to, header, body))
		if err != nil {
			err = fmt.Errorf("asking the server: %w", err)
			if !connected.Load() || dialing(err) {
				return nil, notExecuted{err}
			}
			return nil, err
		}
		next, err := redirect(resp, to)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if next == nil {
			return resp, nil
		}
		discard(resp.Body)
		to = next
	}
	return nil, fmt.Errorf("the server redirects more than %d times", maxRedirects)
}

func (p *peer) request(ctx context.Context, method string, to *url.URL, header http.Header, body []byte) *http.Request {
	req := &http.Request{
		Method: method, URL: to, Host: p.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
	}
	return req.WithContext(ctx)
}

// dialing reports whether err comes from connecting.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// redirect is where an answer sends us instead, or nil. 303 is no such answer:
// it names another resource to be read, not the endpoint.
func redirect(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("the server redirects (status %d) to no valid location", resp.StatusCode)
	}
	next.Fragment = ""
	if !sameOrigin(next, from) {
		return nil, fmt.Errorf("the server redirects to another origin, %s://%s, and is not followed; if that is right, configure its URL",
			next.Scheme, next.Host)
	}
	return next, nil
}

// sameOrigin compares scheme, host and port (RFC 6454 §4). User information
// makes another origin, as nobody is to put any into our requests.
func sameOrigin(a, b *url.URL) bool {
	return a.User == nil && b.User == nil && a.Scheme == b.Scheme &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// mediaType is the type that an answer declares, in lower case; "" for none.
func mediaType(resp *http.Response) string {
	declared := resp.Header.Get("Content-Type")
	if declared == typeJSON || declared == typeEvents { // the usual ones need no parsing
		return declared
	}
	parsed, _, _ := mime.ParseMediaType(declared)
	return parsed
}

// discard reads what little is left of a body, so that its connection can be
// used again.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, statusBodyMax)
	body.Close()
}

// statusError reads an answer that is no MCP reply. text is its body, of which
// the error keeps the beginning.
func statusError(resp *http.Response) (err *StatusError, text []byte) {
	text, _ = io.ReadAll(io.LimitReader(resp.Body, statusBodyMax))
	resp.Body.Close()
	kept := strings.ToValidUTF8(string(text[:min(len(text), statusBodyKept)]), "\uFFFD")
	return &StatusError{Code: resp.StatusCode, Body: kept[:min(len(kept), statusBodyKept)], Header: resp.Header}, text
}

// unauthorized marks an answer of 401 or 403: what a server refuses so, it
// does not run.
func unauthorized(err *StatusError) error {
	if err.Code == http.StatusUnauthorized || err.Code == http.StatusForbidden {
		return notExecuted{err}
	}
	return err
}

// free closes the connections that no other Conn uses.
func (p *peer) free() {
	if p.own != nil {
		p.own.CloseIdleConnections()
	}
}

// readBody reads a whole body of at most max bytes. What the server announced
// is believed only so far as not to waste memory.
func readBody(body io.Reader, announced int64, max int) ([]byte, error) {
	if announced > int64(max) {
		return nil, ErrReplyTooLarge
	}
	size := int64(512)
	if announced >= 0 {
		size = min(announced+1, 1<<20)
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(len(buf), 16<<20)+1)
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > max:
			return nil, ErrReplyTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}
