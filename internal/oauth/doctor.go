package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
)

// State says what was found.
type State string

// The states. What is missing can be done without, if it does not block.
const (
	OK      State = "ok"
	Missing State = "missing"
	Wrong   State = "WRONG"
)

// Finding is one thing that a login needs or would like. Texts of strangers in
// it are cleaned.
type Finding struct {
	Topic string
	State State
	Text  string
	// Fix is what to do or to write about it, "" for nothing.
	Fix string
	// Blocks says that no login can work like this.
	Blocks bool
}

// Diagnosis is what was found, in the order of a login.
type Diagnosis struct {
	Findings []Finding
	// Open says that the server wants no login.
	Open bool
	// Metadata is nil when no authorization server was found.
	Metadata *Metadata
	// ByHand says that mcpo has to be registered by a person.
	ByHand bool
	// RedirectURI is where the caller's browser comes back to.
	RedirectURI string
}

// Works reports whether a login can work.
func (d *Diagnosis) Works() bool {
	return !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Blocks })
}

// doctor walks through a login without making one: nothing is registered, no
// page for people is opened, and nothing is stored.
type doctor struct {
	*Diagnosis
	a         *Authorizer
	who       caller.ID
	status    int
	challenge Challenge
	resource  *Resource
}

// Diagnose finds out what a login of the caller would meet. It goes on after
// what is wrong, as far as it can.
func (a *Authorizer) Diagnose(ctx context.Context, who caller.ID) *Diagnosis {
	d := &doctor{Diagnosis: &Diagnosis{RedirectURI: a.RedirectURI(who)}, a: a, who: who}
	if !d.server(ctx) {
		return d.Diagnosis
	}
	d.aboutChallenge()
	d.aboutResource(ctx)
	d.findIssuer(ctx)
	if d.Metadata == nil {
		return d.Diagnosis
	}
	d.aboutMetadata(ctx)
	d.aboutRedirect(ctx)
	// What a login meets has the last word.
	if _, err := a.Discover(ctx); err != nil && d.Works() {
		d.failed("login", err)
	}
	return d.Diagnosis
}

func (d *doctor) add(topic string, state State, fix, format string, args ...any) {
	d.Findings = append(d.Findings, Finding{Topic: topic, State: state, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// block adds what no login can work with.
func (d *doctor) block(topic, fix, format string, args ...any) {
	d.add(topic, Wrong, fix, format, args...)
	d.Findings[len(d.Findings)-1].Blocks = true
}

// failed adds an error that no login can work with.
func (d *doctor) failed(topic string, err error) {
	var refused *DiscoveryError
	if errors.As(err, &refused) {
		d.block(topic, refused.Hint, "%s", refused.Message)
		return
	}
	d.block(topic, fixFor(err), "%s", clean(err.Error(), 400))
}

// server asks the server without a token. more is false when there is nothing
// else to ask.
func (d *doctor) server(ctx context.Context) (more bool) {
	const topic = "server"
	method := http.MethodPost
	if d.a.transport == config.SSE {
		method = http.MethodGet
	}
	resp, sent, err := d.askServer(ctx, method)
	if err != nil {
		d.failed(topic, fmt.Errorf("asking the server: %w", err))
		return false
	}
	if resp.StatusCode/100 == 3 {
		d.redirected(topic, resp)
	}
	if d.status, d.challenge, err = d.a.probe(ctx); err != nil {
		d.failed(topic, err)
		return false
	}
	if d.a.transport == config.Auto && (d.status == http.StatusNotFound || d.status == http.StatusMethodNotAllowed) {
		d.tryStream(ctx, topic)
	}
	d.aboutStatus(topic)
	d.aboutTLS("server's certificate", d.a.url, resp.TLS)
	d.aboutClock("server's clock", resp.Header, sent)
	return true
}

// tryStream asks once more as the SSE transport does, where the configuration
// leaves open which it is.
func (d *doctor) tryStream(ctx context.Context, topic string) {
	resp, _, err := d.askServer(ctx, http.MethodGet)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		return
	}
	d.status = resp.StatusCode
	d.challenge, _ = ParseChallenge(resp.Header)
	d.add(topic, OK, `to save a request each time, write "type": "sse"`, "it speaks the older SSE transport")
}

// aboutStatus tells of what the server answers without a token.
func (d *doctor) aboutStatus(topic string) {
	switch {
	case d.status == http.StatusUnauthorized:
		d.add(topic, OK, "", "it answers 401 without a token, and so wants a login")
	case d.status/100 == 2:
		d.add(topic, OK, "", "it answers %d without a token; if it wants a login, then only for some of what it does", d.status)
	case d.status == http.StatusNotFound:
		d.block(topic, `compare "url" with what the server's documentation says, its path above all`, "there is nothing at this address (404)")
	case d.status == http.StatusMethodNotAllowed && d.a.transport != config.SSE:
		d.block(topic, `if it speaks the older SSE transport, write "type": "sse"`, "it does not take MCP messages at this address (405)")
	case d.status/100 == 3:
	case d.status >= 500:
		d.block(topic, "see its log, or try again later", "it is in trouble: it answers %d", d.status)
	default:
		d.add(topic, Wrong, "a server that wants a login answers 401", "it answers %d without a token", d.status)
	}
}

// redirected tells of an answer that leads elsewhere.
func (d *doctor) redirected(topic string, resp *http.Response) {
	to, err := d.a.url.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		d.block(topic, "see the server's log", "it answers %d without saying where to", resp.StatusCode)
	case canonical(originOf(to)) != canonical(originOf(d.a.url)):
		d.block(topic, fmt.Sprintf(`if that is the same server, write "url": %q`, clean(to.String(), 200)),
			"it redirects (%d) to another origin, %s, which is not followed", resp.StatusCode, clean(to.String(), 200))
	default:
		d.add(topic, OK, fmt.Sprintf(`to save a request each time, write "url": %q`, clean(to.String(), 200)),
			"it redirects (%d) to %s", resp.StatusCode, clean(to.String(), 200))
	}
}

// askServer sends what begins a connection, a message or the request for a
// stream, and follows no redirect. The answer's body is closed.
func (d *doctor) askServer(ctx context.Context, method string) (resp *http.Response, sent time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	body := initializeBody
	if method == http.MethodGet {
		body = ""
	}
	req, err := http.NewRequestWithContext(ctx, method, d.a.url.String(), strings.NewReader(body))
	if err != nil {
		return nil, sent, err
	}
	for name, value := range d.a.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	sent = time.Now()
	if resp, err = d.a.direct.RoundTrip(req); err != nil {
		return nil, sent, err
	}
	resp.Body.Close()
	return resp, sent, nil
}

func (d *doctor) aboutChallenge() {
	const topic = "challenge"
	if d.status/100 == 2 {
		return
	}
	scopes := ""
	if len(d.challenge.Scopes) > 0 {
		scopes = "; it asks for the scopes " + clean(strings.Join(d.challenge.Scopes, " "), 200)
	}
	if d.challenge.ResourceMetadata != "" {
		d.add(topic, OK, "", "WWW-Authenticate names the resource metadata at %s%s", clean(d.challenge.ResourceMetadata, 200), scopes)
		return
	}
	d.add(topic, Missing, "", "WWW-Authenticate does not say where the resource metadata is (RFC 9728), so that mcpo looks at the usual places%s", scopes)
}

// aboutResource looks for the resource metadata where a login does.
func (d *doctor) aboutResource(ctx context.Context) {
	const topic = "resource metadata"
	places := resourcePlaces(d.a.url, d.challenge)
	for i, place := range places {
		u, err := d.a.placeOf(place)
		if err != nil {
			d.failed(topic, err)
			return
		}
		got, err := d.a.guard.get(ctx, u)
		if err == nil && got.status >= 500 {
			err = fmt.Errorf("%s answers %d", u.Host, got.status)
		}
		if err != nil {
			d.failed(topic, err)
			return
		}
		o, err := got.object()
		if got.status != http.StatusOK || err != nil || !o.has("resource") {
			if i == 0 && d.challenge.ResourceMetadata != "" {
				d.add(topic, Wrong, "the server's operator has to put it there", "there is none at %s, though the challenge names that", clean(place, 200))
			}
			continue
		}
		d.resource = &Resource{From: place, Resource: o.text("resource"), AuthorizationServers: o.texts("authorization_servers"), Scopes: o.texts("scopes_supported")}
		d.add(topic, OK, "", "found at %s", clean(place, 200))
		if err := d.a.checkResource(d.resource); err != nil {
			d.failed(topic, err)
		} else {
			d.add(topic, OK, "", "it is this server's: %s", clean(d.resource.Resource, 200))
		}
		return
	}
	d.add(topic, Missing, "", "there is none (RFC 9728), so that the authorization server is taken from the configuration, or from the server's own origin")
}

func (d *doctor) aboutTLS(topic string, u *url.URL, state *tls.ConnectionState) {
	if u.Scheme != "https" || state == nil || len(state.PeerCertificates) == 0 {
		return
	}
	end := state.PeerCertificates[0].NotAfter
	days := int(time.Until(end).Hours() / 24)
	if days < 7 {
		d.add(topic, Wrong, "the operator of "+clean(u.Host, 100)+" has to renew it", "it runs out on %s", end.Format(time.DateOnly))
		return
	}
	d.add(topic, OK, "", "valid for %d days, until %s", days, end.Format(time.DateOnly))
}

// skewMax is how far clocks may differ before it is worth a word.
const skewMax = 30 * time.Second

// aboutClock compares the clocks. sent is when the request was sent.
func (d *doctor) aboutClock(topic string, h http.Header, sent time.Time) {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	skew := theirs.Sub(sent.Add(time.Since(sent) / 2)).Round(time.Second)
	if skew.Abs() <= skewMax {
		d.add(topic, OK, "", "it agrees with this machine's")
		return
	}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	d.add(topic, Wrong, "set the clock that is wrong, best by NTP: tokens run out by it", "it is %s %s this machine's", skew.Abs(), word)
}
