package app

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcpo/internal/oauthtest"
)

// standing is how a caller stands with a server.
type standing struct {
	since    moment // of the login, or of the leaving
	loggedIn bool
	left     bool // logged out, and not in again
}

// member is a caller with accounts of their own: another one at each server.
type member struct {
	*crowd
	number int
	name   string
	asked  atomic.Int64
	in     map[*house]*standing
}

func (p *member) account(h *house) string { return p.name + "_of_" + h.name }
func (p *member) tool(h *house) string    { return "own_" + p.account(h) }

// live is a caller's life.
func (p *member) live(random *rand.Rand) {
	for range crowdTurns {
		h := p.houses[random.IntN(len(p.houses))]
		switch n := random.IntN(100); {
		case n < 45:
			p.burst(random)
		case n < 60:
			p.look(h)
		case n < 70:
			p.checkStatus(h)
		case n < 95:
			p.login(h)
		default:
			p.leave(h)
		}
	}
}

// burst makes calls at all servers at once.
func (p *member) burst(random *rand.Rand) {
	var calls sync.WaitGroup
	for _, h := range p.houses {
		for range 1 + random.IntN(2) {
			nonce := strconv.FormatUint(random.Uint64(), 36)
			calls.Go(func() { p.call(h, nonce) })
		}
		calls.Go(func() { p.whoami(h) })
	}
	calls.Wait()
}

func (p *member) whoami(h *house) {
	since := h.now()
	status, body := p.ask(http.MethodPost, "/"+h.name+"/whoami", "{}")
	p.judge(h, since, "whoami", status, body, strconv.Quote(p.account(h)))
}

func (p *member) call(h *house, nonce string) {
	since := h.now()
	status, body := p.ask(http.MethodPost, "/"+h.name+"/"+p.tool(h), `{"nonce":"`+nonce+`"}`)
	p.judge(h, since, "the own tool", status, body, strconv.Quote(p.account(h)+" "+p.account(h)+" "+nonce))
}

// judge checks the answer of a call that began at a moment.
func (p *member) judge(h *house, since moment, what string, status int, body, want string) {
	in := p.in[h]
	certain := h.quietSince(since) && in.since.changes == since.changes
	switch {
	case status == http.StatusOK:
		p.answered.Add(1)
		if body != want {
			p.t.Errorf("%s of %s at %s answered %s, want %s", what, p.name, h.name, body, want)
		}
		if in.left {
			p.t.Errorf("%s of %s at %s was answered after the logout: %s", what, p.name, h.name, body)
		}
	case status == http.StatusUnauthorized:
		p.refused.Add(1)
		p.checkLink(h, body)
		if certain && in.loggedIn {
			p.t.Errorf("%s of %s at %s wants a login, and one was just made: %s", what, p.name, h.name, body)
		}
	case strings.Contains(body, "was removed"): // it only ever gets a successor
		p.t.Errorf("%s of %s at %s was refused for a reload: %s", what, p.name, h.name, body)
	case certain && h.reloads.Load() == since.reloads && in.loggedIn && !lost(status):
		p.t.Errorf("%s of %s at %s answered %d %s", what, p.name, h.name, status, body)
	default:
		p.between.Add(1)
	}
}

// lost are the answers of a call whose connection a server ended midway, which
// it may do at any time.
func lost(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable
}

// refusal is the answer to a call that wants a login.
type refusal struct {
	Detail struct {
		Error, Message, Server string
		URL                    string `json:"authorization_url"`
	}
}

func (p *member) checkLink(h *house, body string) (link string) {
	var r refusal
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Detail.Server != h.name || r.Detail.URL == "" || !strings.Contains(r.Detail.Message, r.Detail.URL) {
		p.t.Errorf("%s at %s is refused with %s", p.name, h.name, body)
	}
	return r.Detail.URL
}

// document reads the own document.
func (p *member) document(h *house) string {
	status, body := p.ask(http.MethodGet, "/"+h.name+"/openapi.json", "")
	if status != http.StatusOK {
		p.t.Errorf("the document of %s at %s: %d %s", p.name, h.name, status, body)
	}
	return body
}

// look reads the documents: with an identity, exactly one's own tools or the way
// to log in; without one, what all may see.
func (p *member) look(h *house) {
	got := operations(p.t, p.document(h))
	own := []string{"/add", "/admin", "/" + p.tool(h), "/whoami"}
	slices.Sort(own)
	if !slices.Equal(got, own) && !slices.Equal(got, []string{"/login"}) {
		p.t.Errorf("%s sees %q at %s", p.name, got, h.name)
	}
	status, body := p.mcpo.get(http.MethodGet, "/"+h.name+"/openapi.json", "")
	all := operations(p.t, body)
	if status != http.StatusOK || !slices.Contains(all, "/login") || h.private && len(all) != 1 {
		p.t.Errorf("without an identity %s shows %d %q", h.name, status, all)
	}
	for _, path := range all {
		if strings.HasPrefix(path, "/own_") && !strings.HasSuffix(path, "_of_"+h.name) {
			p.t.Errorf("the catalogue of %s has %s", h.name, path)
		}
	}
}

func operations(t *testing.T, body string) (paths []string) {
	t.Helper()
	var d struct{ Paths map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Errorf("%v in %s", err, body)
	}
	for path := range d.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func (p *member) checkStatus(h *house) {
	status, body := p.ask(http.MethodGet, "/oauth/"+h.name+"/status", "")
	var s struct {
		Server, User  string
		Authenticated bool
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != http.StatusOK || s.User != p.name || s.Server != h.name {
		p.t.Errorf("the status of %s at %s: %d %s", p.name, h.name, status, body)
	}
	if p.in[h].left && s.Authenticated {
		p.t.Errorf("%s has left %s, and the status is %s", p.name, h.name, body)
	}
}

// login follows the link of a refused call to its end.
func (p *member) login(h *house) {
	since := h.now()
	status, body := p.ask(http.MethodPost, "/"+h.name+"/whoami", "{}")
	if status != http.StatusUnauthorized {
		p.judge(h, since, "whoami", status, body, strconv.Quote(p.account(h)))
		return
	}
	link := p.checkLink(h, body)
	p.in[h].left = false // from here on it may be otherwise
	p.in[h].loggedIn = false
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	asks, err := oauthtest.Browse(ctx, link, oauthtest.BrowseOptions{Jar: jar, StopAtForm: true})
	if err != nil || !strings.Contains(asks.Body, p.name) {
		p.t.Errorf("the link of %s at %s shows %d %s, %v", p.name, h.name, asks.Status, asks.Body, err)
	}
	p.clean("the page of the link", asks.Body)
	since = h.now()
	page, err := oauthtest.Browse(ctx, link, oauthtest.BrowseOptions{Jar: jar, User: p.account(h)})
	switch {
	case err == nil && strings.Contains(page.Body, "Connected."):
		p.loggedIn.Add(1)
		*p.in[h] = standing{since: since, loggedIn: h.quietSince(since)}
	case h.quietSince(since) && h.reloads.Load() == since.reloads:
		p.t.Errorf("the login of %s at %s ended at %s with %d %s, %v", p.name, h.name, page.URL, page.Status, page.Body, err)
	}
}

// leave logs out; what was there is gone when it returns.
func (p *member) leave(h *house) {
	status, body := p.ask(http.MethodPost, "/connections/"+h.name+"/disconnect", "")
	if status != http.StatusOK || !strings.Contains(body, `"disconnected"`) {
		p.t.Errorf("%s leaves %s: %d %s", p.name, h.name, status, body)
		return
	}
	*p.in[h] = standing{since: h.now(), left: true}
	p.whoami(h)
	if got := operations(p.t, p.document(h)); !slices.Equal(got, []string{"/login"}) {
		p.t.Errorf("%s has left %s, and sees %q", p.name, h.name, got)
	}
}

// settle has a call answered, with a login if there is none. Nothing else goes
// on any more.
func (p *member) settle(h *house) {
	for range 3 {
		status, body := p.ask(http.MethodPost, "/"+h.name+"/whoami", "{}")
		switch {
		case status == http.StatusUnauthorized:
			p.login(h)
		case !lost(status):
			p.judge(h, h.now(), "whoami, in the end,", status, body, strconv.Quote(p.account(h)))
			return
		}
	}
	p.t.Errorf("in the end %s cannot call %s", p.name, h.name)
}

// ask asks as the caller, who is known by one proof or the other, in turn.
func (p *member) ask(method, path, body string) (int, string) {
	req, err := http.NewRequest(method, p.mcpo.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return 0, ""
	}
	now := time.Now()
	if p.asked.Add(1)%2 == 0 {
		req.Header.Set("Authorization", "Bearer "+signed(p.t, crowdKey, map[string]any{"id": p.name, "exp": now.Add(hurry).Unix()}))
	} else {
		req.Header.Set("X-OpenWebUI-User-Jwt", signed(p.t, crowdUserKey,
			map[string]any{"sub": p.name, "iss": "open-webui", "iat": now.Unix(), "exp": now.Add(hurry).Unix()}))
	}
	status, answer := p.mcpo.send(req)
	p.clean(method+" "+path, answer)
	return status, answer
}

// clean fails the test if a text that the caller is shown names anybody else, or
// has a token.
func (p *member) clean(what, text string) {
	for _, other := range p.people {
		if other != p && strings.Contains(text, other.name) {
			p.t.Errorf("%s: %s is shown something of %s: %s", what, p.name, other.name, text)
		}
	}
	if strings.Contains(text, "access-") || strings.Contains(text, "refresh-") {
		p.t.Errorf("%s: %s is shown a token: %s", what, p.name, text)
	}
}

// signed is a JWT as Open WebUI signs them.
func signed(t *testing.T, key string, claims map[string]any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims)).SignedString([]byte(key))
	if err != nil {
		t.Error(err)
	}
	return token
}
