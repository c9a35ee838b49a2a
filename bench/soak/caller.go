//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcpo/internal/oauthtest"
)

// caller is a user of Open WebUI, with an account of the same name at notes.
type caller struct {
	name, authorization string
	// mu is held to read while a call is under way, and to write while the
	// caller logs in or out, so that it is known what an answer has to be.
	mu     sync.RWMutex
	logged bool // in, at notes; guarded by mu
}

func newCaller(n int) (*caller, error) {
	c := &caller{name: fmt.Sprintf("caller-%05d", n)}
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"id": c.name, "iat": now.Unix(), "exp": now.Add(7 * 24 * time.Hour).Unix()}).SignedString([]byte(userKey))
	if err != nil {
		return nil, fmt.Errorf("signing a caller's token: %w", err)
	}
	c.authorization = "Bearer " + token
	return c, nil
}

// answer is what came of a request.
type answer struct {
	server       string
	began, ended time.Time
	status       int // 0 when there was none
	body         string
	err          error
}

// ask sends a request; server is whom it is about.
func (s *soak) ask(ctx context.Context, c *caller, server, method, path, body string) (a answer) {
	a = answer{server: server, began: time.Now()}
	defer func() { a.ended = time.Now() }()
	req, err := http.NewRequestWithContext(ctx, method, s.mcpo.base+path, strings.NewReader(body))
	if err != nil {
		a.err = err
		return a
	}
	req.Header.Set("Authorization", c.authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a.status, a.body, a.err = resp.StatusCode, string(text), err
	return a
}

func (s *soak) call(ctx context.Context, c *caller, server, name string, arguments map[string]any) answer {
	body, err := json.Marshal(arguments)
	if err != nil {
		return answer{server: server, err: err}
	}
	return s.ask(ctx, c, server, http.MethodPost, "/"+server+"/"+name, string(body))
}

// is says what is wrong with an answer that has to be this JSON string.
func (a answer) is(text string) error {
	if want, _ := json.Marshal(text); a.err == nil && a.status == http.StatusOK && strings.TrimSpace(a.body) == string(want) {
		return nil
	}
	return a.not(fmt.Sprintf("200 %q", text))
}

// has says what is wrong with an answer that has to have this status, and a part.
func (a answer) has(status int, part string) error {
	if a.err == nil && a.status == status && strings.Contains(a.body, part) {
		return nil
	}
	return a.not(fmt.Sprintf("%d …%s…", status, part))
}

func (a answer) not(want string) error {
	if a.err != nil {
		return fmt.Errorf("want %s, got %w", want, a.err)
	}
	return fmt.Errorf("want %s, got %d %.300s", want, a.status, a.body)
}

// link is the one that a caller who is not logged in gets with each call.
func (a answer) link() (string, error) {
	var refused struct {
		Detail struct {
			URL string `json:"authorization_url"`
		}
	}
	if a.err == nil && a.status == http.StatusUnauthorized && json.Unmarshal([]byte(a.body), &refused) == nil && refused.Detail.URL != "" {
		return refused.Detail.URL, nil
	}
	return "", a.not("401 with a link")
}

// logIn does with a link what a person does, in a new browser.
func (c *caller) logIn(ctx context.Context, link string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	page, err := oauthtest.Browse(ctx, link, oauthtest.BrowseOptions{User: c.name})
	if err != nil {
		return err
	}
	if page.Status != http.StatusOK {
		return fmt.Errorf("the last page was %d %.300s", page.Status, page.Body)
	}
	return nil
}

// everybodyLogsIn has all callers log in, some at a time, each from the link of
// a call that was refused.
func (s *soak) everybodyLogsIn(ctx context.Context) error {
	const atOnce = 8
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() {
			for n := i; n < len(s.callers) && errs[i] == nil && ctx.Err() == nil; n += atOnce {
				errs[i] = s.firstLogin(ctx, s.callers[n])
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (s *soak) firstLogin(ctx context.Context, c *caller) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	link, err := s.call(ctx, c, notes, "whoami", nil).link()
	if err == nil {
		err = c.logIn(ctx, link)
	}
	if err == nil {
		err = s.call(ctx, c, notes, "whoami", nil).is(c.name)
	}
	if err != nil {
		return fmt.Errorf("the first login of %s: %w", c.name, err)
	}
	c.logged = true
	s.tally.count(logins)
	return nil
}
