package oauthtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// BrowseOptions says who browses, and what they want.
type BrowseOptions struct {
	// User is the name that they sign in with, "alice" when empty.
	User string
	// Deny makes them refuse consent.
	Deny bool
	// Jar holds the cookies of a browser that is used several times; nil is a
	// new browser. Cookies belong to a host, whatever the port.
	Jar http.CookieJar
	// Cookies are set for the host of the first URL.
	Cookies []*http.Cookie
	// Header is sent to the origin of the first URL.
	Header http.Header
	// StopBefore stops at the redirect URI without asking for it; the page's
	// URL is what a person would copy from the address bar.
	StopBefore bool
	// StopAtForm stops at the first page with a form.
	StopAtForm bool
}

// Page is where a walk ended.
type Page struct {
	// URL is the last address, query included.
	URL string
	// Status is 0 when nobody answered at the redirect URI, or when the walk
	// stopped before it.
	Status int
	Header http.Header
	Body   string
}

// maxSteps bounds a walk; real ones take about eight.
const maxSteps = 30

// Browse plays a person: it opens url, follows redirects with cookies, signs
// in, approves, and presses the button of any other form that has one, until
// the page at the redirect URI has answered, or a page has no form. A redirect
// URI where nobody listens is a page with status 0, as a browser shows one.
//
// It is as strict as browsers are: forms lead only where the page's form-action
// lets them, redirects included, and Origin is null under no-referrer.
func Browse(ctx context.Context, url string, o BrowseOptions) (Page, error) {
	w, err := newWalk(url, o)
	if err != nil {
		return Page{}, err
	}
	defer w.transport.CloseIdleConnections()
	next := step{method: http.MethodGet, url: url}
	for range maxSteps {
		if w.arrives(next.url) && o.StopBefore {
			return Page{URL: next.url}, nil
		}
		if err := next.allowed(); err != nil {
			return Page{URL: next.url}, fmt.Errorf("browsing: %w", err)
		}
		page, err := w.take(ctx, next)
		if err != nil {
			if w.arrives(next.url) && ctx.Err() == nil {
				return Page{URL: next.url}, nil
			}
			return page, fmt.Errorf("browsing: %w", err)
		}
		to, done, err := w.after(page, next)
		if done || err != nil {
			return page, err
		}
		next = to
	}
	return Page{URL: next.url}, errors.New("browsing: there is no end to it")
}

// step is one request of a browser.
type step struct {
	method, url string
	form        string
	from        string // the page whose form began this, "" for the address bar
	origin      string // Origin, for a form
	policy      policy // of the page whose form began this
}

// allowed fails where a browser would refuse to go.
func (s step) allowed() error {
	u, err := url.Parse(s.url)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%.40q is nothing to browse", s.url)
	case !s.policy.allows(u):
		return fmt.Errorf("form-action of the page at %s does not allow %s", s.from, originOf(u))
	}
	return nil
}

type walk struct {
	o         BrowseOptions
	transport *http.Transport
	jar       http.CookieJar
	first     string // origin of the first URL
	redirect  string // the redirect URI, once an authorization request named it
	arrived   bool   // it was opened
}

func newWalk(first string, o BrowseOptions) (*walk, error) {
	w := &walk{o: o, transport: &http.Transport{}, jar: o.Jar}
	if w.jar == nil {
		// The error is always nil.
		w.jar, _ = cookiejar.New(nil)
	}
	u, err := url.Parse(first)
	if err != nil {
		return nil, fmt.Errorf("browsing: %w", err)
	}
	w.jar.SetCookies(u, o.Cookies)
	w.first = originOf(u)
	return w, nil
}

// arrives tells whether u is the redirect URI. On the way it learns which one
// that is from the authorization request.
func (w *walk) arrives(u string) bool {
	parsed, err := url.Parse(u)
	if err != nil {
		return false
	}
	w.redirect = cmp.Or(w.redirect, parsed.Query().Get("redirect_uri"))
	target, err := url.Parse(w.redirect)
	return err == nil && w.redirect != "" && originOf(target) == originOf(parsed) && target.Path == parsed.Path
}

// take makes one request as a browser does and reads the answer.
func (w *walk) take(ctx context.Context, s step) (Page, error) {
	page := Page{URL: s.url}
	req, err := http.NewRequestWithContext(ctx, s.method, s.url, strings.NewReader(s.form))
	if err != nil {
		return page, err
	}
	if originOf(req.URL) == w.first {
		for name, values := range w.o.Header {
			req.Header[name] = values
		}
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", fetchSite(s))
	if s.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.origin)
	}
	for _, c := range w.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	w.jar.SetCookies(req.URL, resp.Cookies())
	w.arrived = w.arrived || w.arrives(s.url)
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	page.Status, page.Header, page.Body = resp.StatusCode, resp.Header, string(body)
	return page, err
}

// after finds what a person does next on a page.
func (w *walk) after(p Page, s step) (next step, done bool, err error) {
	base, err := url.Parse(p.URL)
	if err != nil {
		return next, true, fmt.Errorf("browsing: %w", err)
	}
	if location := p.Header.Get("Location"); location != "" && p.Status >= 300 && p.Status < 400 {
		to, err := base.Parse(location)
		if err != nil {
			return next, true, fmt.Errorf("browsing: following a redirect: %w", err)
		}
		next = step{method: http.MethodGet, url: to.String(), from: s.from, policy: s.policy}
		if p.Status == http.StatusTemporaryRedirect || p.Status == http.StatusPermanentRedirect {
			next.method, next.form, next.origin = s.method, s.form, s.origin
		}
		return next, false, nil
	}
	if w.arrived || w.o.StopAtForm || p.Status >= 400 {
		return next, true, nil
	}
	f, ok := findForm(p.Body, w.o)
	if !ok {
		return next, true, nil
	}
	to, err := base.Parse(f.action)
	if err != nil {
		return next, true, fmt.Errorf("browsing: sending a form: %w", err)
	}
	next = step{method: f.method, form: f.values.Encode(), from: p.URL, origin: originOf(base), policy: policyOf(p.Header, base)}
	if next.method == http.MethodGet {
		to.RawQuery, next.form = next.form, ""
	}
	next.url = to.String()
	// A browser keeps a page's origin to itself if the page says so.
	if p.Header.Get("Referrer-Policy") == "no-referrer" {
		next.origin = "null"
	}
	return next, false, nil
}

// fetchSite is Sec-Fetch-Site: how near a request's target is to where it
// comes from. A site is a scheme and host without the port.
func fetchSite(s step) string {
	to, _ := url.Parse(s.url)
	from, _ := url.Parse(s.from)
	switch {
	case s.from == "" || to == nil || from == nil:
		return "none"
	case originOf(to) == originOf(from):
		return "same-origin"
	case to.Scheme == from.Scheme && to.Hostname() == from.Hostname():
		return "same-site"
	}
	return "cross-site"
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }
