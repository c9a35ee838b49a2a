package oauth

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/tracing"
)

// RoundTripper puts the caller's access token into requests to the server (RFC
// 6750 §2.1), and sends them with next. A request that the server refuses with
// 401 is sent once more with a new token. Its errors are *[LoginRequiredError]
// before anything was sent, and those of next.
func (a *Authorizer) RoundTripper(who caller.ID, next http.RoundTripper) http.RoundTripper {
	return &authorized{a: a, who: who, next: next}
}

type authorized struct {
	a    *Authorizer
	who  caller.ID
	next http.RoundTripper
	// streams says that the server opened an event stream at its address.
	streams atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (t *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	g, err := t.tokenFor(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := t.next.RoundTrip(withToken(req, g))
	if err != nil {
		return nil, err
	}
	repeatable := req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	if resp.StatusCode == http.StatusUnauthorized && repeatable {
		return t.again(req, resp, g)
	}
	t.answered(req, resp, g)
	return resp, nil
}

// answered remembers what an answer says about the grant, and about the server.
func (t *authorized) answered(req *http.Request, resp *http.Response, g *grant) {
	if req.Method == http.MethodGet && resp.StatusCode == http.StatusOK {
		declared, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		t.streams.CompareAndSwap(false, declared == "text/event-stream")
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
	case http.StatusForbidden:
		if c, ok := ParseChallenge(resp.Header); ok && c.Error == "insufficient_scope" {
			t.a.notEnough(t.who, c.Scopes, g)
		}
	default:
		if before, ok := t.a.memory(t.who); ok && before.refused && before.AccessToken == g.AccessToken {
			after := before
			after.refused = false
			t.a.grants.CompareAndSwap(t.who, before, after)
		}
	}
}

func (t *authorized) tokenFor(req *http.Request) (*grant, error) {
	anyPath := t.a.transport == config.SSE || t.a.transport == config.Auto && t.streams.Load()
	if err := t.a.belongs(req.URL, anyPath); err != nil {
		return nil, err
	}
	ctx, span := tracing.Start(req.Context(), tracing.Internal, "get token", "")
	g, err := t.a.token(ctx, t.who)
	endSpan(span, err)
	return g, err
}

// again renews the access token that the server refused, and asks once more.
func (t *authorized) again(req *http.Request, refused *http.Response, g *grant) (*http.Response, error) {
	_, _ = io.CopyN(io.Discard, refused.Body, 64<<10)
	refused.Body.Close()
	fresh, err := t.a.renew(req.Context(), t.who, g.AccessToken, true)
	if err != nil {
		return nil, err
	}
	repeated := withToken(req, fresh)
	if req.GetBody != nil {
		if repeated.Body, err = req.GetBody(); err != nil {
			return nil, fmt.Errorf("sending the request again: %w", err)
		}
	}
	resp, err := t.next.RoundTrip(repeated)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		resp.Body.Close()
		return nil, t.a.useless(t.who, fresh)
	}
	if err == nil {
		t.answered(req, resp, fresh)
	}
	return resp, err
}

// withToken is the request with the access token, which replaces whatever else
// was to be said in Authorization. The original stays as it is (net/http asks
// for that).
func withToken(req *http.Request, g *grant) *http.Request {
	with := *req
	with.Header = make(http.Header, len(req.Header)+1)
	for name, values := range req.Header {
		if !strings.EqualFold(name, "Authorization") {
			with.Header[name] = values
		}
	}
	with.Header["Authorization"] = g.authorization()
	return &with
}

// belongs holds requests to the server's own address: a token goes nowhere
// else. On streamable HTTP that is the endpoint and what lies below it; on SSE
// the server itself names the address for messages, on its origin, which is any
// path there.
func (a *Authorizer) belongs(u *url.URL, anyPath bool) error {
	same := u.Scheme == a.url.Scheme && u.Host == a.url.Host // as nearly always
	if !same && canonical(originOf(u)) != canonical(originOf(a.url)) {
		return fmt.Errorf("the token for %s does not go to %s", a.url.Host, clean(u.Host, 100))
	}
	if !anyPath && !isBelow(strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(a.url.Path, "/")) {
		return fmt.Errorf("the server redirects to %s, where its token does not go; if that is right, configure its URL", clean(u.Path, 200))
	}
	return nil
}

// isBelow reports whether a path is own, or lies below it for everybody: what
// some servers read as another way to write ".." does not.
func isBelow(path, own string) bool {
	rest, ok := strings.CutPrefix(path, own)
	return ok && (rest == "" || rest[0] == '/' && !strings.ContainsAny(rest, `\;%`) && !slices.Contains(strings.Split(rest, "/"), ".."))
}
