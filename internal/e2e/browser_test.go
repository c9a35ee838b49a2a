package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// person is somebody at a browser, who signs in where a page asks for it and
// says yes or no to what a page wants to know.
type person struct {
	name, password string
	denies         bool
}

// page is what the browser shows.
type page struct {
	url    *url.URL
	status int
	body   string
	header http.Header
}

// browse opens a link and goes on until the page at the client's redirect URI
// has answered. The link is of an authorization server, or leads to one.
func (p person) browse(ctx context.Context, link string) (page, error) {
	b := &browser{}
	jar, err := cookiejar.New(nil) // it does not tell ports apart, as browsers do not
	if err != nil {
		return page{}, err
	}
	b.http = http.Client{Transport: b, Jar: jar, CheckRedirect: follow}
	shown, err := b.open(ctx, http.MethodGet, link, nil, page{})
	for range 10 {
		if err != nil || b.arrived {
			return shown, err
		}
		shown, err = p.answer(ctx, b, shown)
	}
	return shown, fmt.Errorf("the redirect URI was not reached: %s shows %s", shown.url, shown.body)
}

// answer fills in the page's form, or presses what says no.
func (p person) answer(ctx context.Context, b *browser, shown page) (page, error) {
	seen, err := look(shown)
	if err != nil {
		return shown, err
	}
	wanted := regexp.MustCompile(`(?i)\b(continue|approve|sign[ -]?in)\b`)
	if p.denies && !seen.asksPassword {
		wanted = regexp.MustCompile(`(?i)\b(cancel|deny)\b`)
	}
	for _, l := range seen.links {
		if wanted.MatchString(l.text) {
			return b.open(ctx, http.MethodGet, l.href, nil, shown)
		}
	}
	for _, f := range seen.forms {
		if button, ok := f.button(wanted); ok {
			return b.open(ctx, f.method, f.action, f.filled(p, button), shown)
		}
	}
	return shown, fmt.Errorf("%s (status %d) shows nothing to press: %s", shown.url, shown.status, shown.body)
}

// browser keeps cookies, and notices when it comes to the redirect URI that an
// authorization request named.
type browser struct {
	http     http.Client
	redirect string // scheme, host, and path
	arrived  bool
}

// RoundTrip sees every request, those of redirects too.
func (b *browser) RoundTrip(req *http.Request) (*http.Response, error) {
	if redirect := req.URL.Query().Get("redirect_uri"); redirect != "" {
		b.redirect = redirect
	}
	if b.redirect != "" && withoutQuery(req.URL) == b.redirect {
		b.arrived = true
	}
	return http.DefaultTransport.RoundTrip(req)
}

func withoutQuery(u *url.URL) string {
	short := *u
	short.RawQuery = ""
	return short.String()
}

// follow takes away what a browser does not carry along.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("too many redirects")
	}
	req.Header.Del("Origin")
	req.Header.Del("Sec-Fetch-Site")
	return nil
}

// open shows a page; from is the one with the link or the form.
func (b *browser) open(ctx context.Context, method, link string, form url.Values, from page) (page, error) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if form != nil {
		link += "?" + form.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, link, body)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin(from))
		if from.url.Host == req.URL.Host {
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return page{resp.Request.URL, resp.StatusCode, string(text), resp.Header}, err
}

// origin is what a form on the page is posted with. A page that wants to send no
// referrer is of no origin either.
func origin(p page) string {
	if p.header.Get("Referrer-Policy") == "no-referrer" {
		return "null"
	}
	return p.url.Scheme + "://" + p.url.Host
}

// content is what there is to press on a page.
type content struct {
	forms        []*form
	links        []link
	asksPassword bool
}

type link struct{ href, text string }

type form struct {
	method, action string
	inputs         []input
	buttons        []input
}

// input is a field or a button; text is what stands on a button.
type input struct{ kind, name, value, text string }

// button finds the one whose text matches.
func (f *form) button(text *regexp.Regexp) (input, bool) {
	for _, b := range f.buttons {
		if text.MatchString(b.text) {
			return b, true
		}
	}
	return input{}, false
}

// filled gives what the form sends when the button is pressed.
func (f *form) filled(p person, button input) url.Values {
	values := url.Values{}
	for _, i := range append(f.inputs, button) {
		switch {
		case i.name == "":
			continue
		case i.kind == "password":
			i.value = p.password
		case i.kind == "text" && i.value == "":
			i.value = p.name
		}
		values.Add(i.name, i.value)
	}
	return values
}

// look finds the forms and the links of a page.
func look(p page) (content, error) {
	root, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		return content{}, err
	}
	var seen content
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "a":
			seen.links = append(seen.links, link{absolute(p, attribute(n, "href", "")), textOf(n)})
		case "form":
			seen.forms = append(seen.forms, &form{
				method: strings.ToUpper(attribute(n, "method", http.MethodGet)),
				action: absolute(p, attribute(n, "action", p.url.String())),
			})
		case "input", "button":
			seen.add(n)
		}
	}
	return seen, nil
}

// add puts a field or a button into the form that began last.
func (c *content) add(n *html.Node) {
	if len(c.forms) == 0 {
		return
	}
	f := c.forms[len(c.forms)-1]
	i := input{attribute(n, "type", "text"), attribute(n, "name", ""), attribute(n, "value", ""), textOf(n)}
	switch {
	case n.Data == "button":
		f.buttons = append(f.buttons, i)
	case i.kind == "submit":
		i.text = i.value
		f.buttons = append(f.buttons, i)
	default:
		c.asksPassword = c.asksPassword || i.kind == "password"
		f.inputs = append(f.inputs, i)
	}
}

func attribute(n *html.Node, name, otherwise string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return otherwise
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func absolute(p page, reference string) string {
	u, err := p.url.Parse(reference)
	if err != nil {
		return reference
	}
	return u.String()
}
