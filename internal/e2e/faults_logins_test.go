package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// TestLoginsThroughFaults has people log in while their authorization server is
// behind a fault: at its beginning, and when the browser comes back. They see a
// page that says what is wrong, and log in once that is over.
func TestLoginsThroughFaults(t *testing.T) {
	x := startToxiproxy(t)
	t.Setenv("CONNECTION_TIMEOUT", fmt.Sprint(connectTimeout))
	for i, f := range allFaults(200) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := x.faulty(t, fmt.Sprint("login-", i), oauthtest.Options{}, nil)
			alice, bob := w.stranger(t, "alice"), w.stranger(t, "bob")
			beginning := alice.meanwhile(t, f, alice.mustLink(t), oauthtest.BrowseOptions{User: "alice"})
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			at := browse(t, bob.mustLink(t), oauthtest.BrowseOptions{User: "bob", Jar: jar, StopBefore: true}).URL
			back := bob.meanwhile(t, f, at, oauthtest.BrowseOptions{Jar: jar}, func() error { return alice.whoami("lab") })
			t.Logf("%s: to begin: %s; to come back: %s", f.name, beginning, back)
		})
	}
}

// browserTime is when somebody closes a page that does not come. What comes from
// mcpo comes sooner.
const browserTime = 90 * time.Second

// meanwhile has somebody open an address of mcpo's while the fault lasts, and log
// in afterwards. It gives the words for what the browser saw.
func (g guest) meanwhile(t *testing.T, f fault, at string, o oauthtest.BrowseOptions, others ...func() error) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserTime)
	defer cancel()
	stop := steadily(t, append(others, g.echoes)...)
	g.at.toAuthority.on(t, f)
	began := time.Now()
	shown, err := oauthtest.Browse(ctx, at, o)
	took := time.Since(began)
	g.at.toAuthority.off(t, f)
	stop()
	if err != nil || shown.Status >= 400 && !says(shown) {
		t.Errorf("%s sees after %v the page %d %s %s (%v)", g.name, took, shown.Status, shown.URL, shown.Body, err)
	}
	await(t, func() error { // with the next link, or as it has worked out
		if g.whoami("lab") == nil {
			return nil
		}
		link, err := g.link()
		if err == nil {
			_, err = oauthtest.Browse(t.Context(), link, oauthtest.BrowseOptions{User: g.name})
		}
		if err == nil {
			err = g.whoami("lab")
		}
		return err
	})
	return fmt.Sprintf("status %d after %.1f s", shown.Status, took.Seconds())
}

// says tells whether a page of mcpo's has words of its own for what is wrong.
func says(p oauthtest.Page) bool {
	return slices.ContainsFunc([]string{"authorization server", "could not", "try again", "Try again"},
		func(words string) bool { return strings.Contains(p.Body, words) })
}

// link makes a call that has to be answered with a link.
func (g guest) link() (string, error) {
	a, err := g.call("/lab/whoami", "{}")
	if err != nil {
		return "", err
	}
	var body struct{ Detail asked }
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusUnauthorized {
		return "", fmt.Errorf("%s is answered %d %s, not with a link (%v)", g.name, a.Status, a.Body, err)
	}
	return body.Detail.URL, nil
}

func (g guest) mustLink(t *testing.T) string {
	t.Helper()
	link, err := g.link()
	if err != nil {
		t.Fatal(err)
	}
	return link
}
