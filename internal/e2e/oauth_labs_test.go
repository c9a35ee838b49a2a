package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/oauthtest"
)

// TestOAuth puts mcpo before servers that ask for a login.
func TestOAuth(t *testing.T) {
	if !full() {
		t.Skip("needs authorization servers from package registries; .ci/run installs them and runs this test (it sets MCPO_TEST_FULL=1)")
	}
	stories := []struct {
		name string
		fits func(labKind) bool
		tell func(*testing.T, labKind)
	}{
		{"first login", everyLab, firstLogin},
		{"refresh", labKind.givesRefreshTokens, func(t *testing.T, k labKind) { refresh(t, k.start(t, "ACCESS_TTL=3")) }},
		{"refresh with offline access", labKind.knowsOfflineAccess, func(t *testing.T, k labKind) { refresh(t, k.start(t, "ACCESS_TTL=3", "REFRESH=offline")) }},
		{"mcpo restarts", everyLab, mcpoRestarts},
		{"server forgets", everyLab, serverForgets},
		{"denial", labKind.asksSomebody, denial},
		{"logout", everyLab, logout},
		{"login by hand", everyLab, loginByHand},
	}
	for _, k := range labKinds() {
		t.Run(k.name, func(t *testing.T) {
			for _, s := range stories {
				if s.fits(k) {
					t.Run(s.name, func(t *testing.T) { s.tell(t, k) })
				}
			}
		})
	}
}

func everyLab(labKind) bool { return true }

func firstLogin(t *testing.T, k labKind) {
	l := k.start(t)
	m := protect(t, l)
	link := m.opened(t, 1)
	m.notSignedIn(t)
	m.signIn(t, link)
	m.eventually(t, m.works)
	tools := m.operations(t)
	if name := "post " + k.whoami.path; !slices.Contains(tools, name) {
		t.Errorf("after the login, the document has %q and not %q", tools, name)
	}
	status := m.status(t)
	if !status.Authenticated || status.Server != "lab" || status.ExpiresAt == nil || !slices.Contains(status.Scopes, "mcp:tools") {
		t.Errorf("after the login, the status is %+v", status)
	}
	l.counts(t, registrations, 1)
	l.counts(t, logins, 1)
}

// refresh has a lab whose tokens live for moments only: no call may notice.
// Refresh tokens are good once, so that many calls at a time must share one,
// those of another mcpo with the same storage too.
func refresh(t *testing.T, l *lab) {
	m := protect(t, l)
	m.signIn(t, m.opened(t, 1))
	m.eventually(t, m.works)
	other := *m
	other.start(t)
	other.eventually(t, other.works)
	m.eventually(t, func() error {
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				if err := []*protected{m, &other}[i%2].works(); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if n := l.count(refreshes); n < 3 && !t.Failed() {
			return fmt.Errorf("the tokens were refreshed %d times", n)
		}
		return nil
	})
	l.counts(t, logins, 1)
	l.counts(t, revocations, 0)
	l.counts(t, reuses, 0)
}

// mcpoRestarts ends mcpo, and needs no login when it is back.
func mcpoRestarts(t *testing.T, k labKind) {
	l := k.start(t)
	m := protect(t, l)
	m.signIn(t, m.opened(t, 1))
	m.eventually(t, m.works)
	m.stop()
	m.start(t)
	m.eventually(t, m.works)
	if links := m.links(t); len(links) != 1 {
		t.Errorf("the browser was opened with %q, which is more than the login", links)
	}
	l.counts(t, registrations, 1)
	l.counts(t, logins, 1)
}

// serverForgets has the authorization server lose its registrations and tokens.
// The next login must register anew.
func serverForgets(t *testing.T, k labKind) {
	l := k.start(t, "ACCESS_TTL=3")
	m := protect(t, l)
	m.signIn(t, m.opened(t, 1))
	m.eventually(t, m.works)
	l.restart(t)
	if !k.refreshes {
		// It answers 500 to tokens that it does not know, which tells nobody
		// that a login would help.
		m.logout(t)
	}
	m.eventually(t, m.asksForLogin)
	m.signIn(t, m.mustAsk(t).URL)
	m.eventually(t, m.works)
	l.counts(t, registrations, 1)
	l.counts(t, logins, 1)
}

// denial says no first, and yes then.
func denial(t *testing.T, k labKind) {
	l := k.start(t)
	m := protect(t, l)
	shown := k.deny(t, m.opened(t, 1))
	if shown.Status < 400 || !regexp.MustCompile(`(?i)denied|declined|refused|not allowed`).MatchString(shown.Body) {
		t.Errorf("the page after a denial has status %d and says: %s", shown.Status, shown.Body)
	}
	l.counts(t, logins, 0)
	m.notSignedIn(t)
	m.signIn(t, m.mustAsk(t).URL)
	m.eventually(t, m.works)
}

// logout gives the tokens back while mcpo runs.
func logout(t *testing.T, k labKind) {
	l := k.start(t)
	m := protect(t, l)
	m.signIn(t, m.opened(t, 1))
	m.eventually(t, m.works)
	m.logout(t)
	if k.revokes {
		l.counts(t, revocations, 1)
	}
	m.eventually(t, m.asksForLogin)
	m.notSignedIn(t)
	m.signIn(t, m.mustAsk(t).URL)
	m.eventually(t, m.works)
}

// loginByHand logs in with the command of that name, beside mcpo: where no
// browser can come back, a person copies the address that it ended at.
func loginByHand(t *testing.T, k labKind) {
	l := k.start(t)
	m := protectWith(t, l, map[string]any{"use_loopback": false})
	m.notSignedIn(t)
	login := m.command(t, "login")
	typed, err := login.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	links, again := make(chan string, 1), make(chan bool, 1)
	running := run(t, login, func(line string) {
		switch {
		case strings.HasPrefix(line, "http"):
			links <- strings.TrimSpace(line)
		case strings.Contains(line, "No authorization code found"):
			again <- true
		}
	})
	shown := browse(t, wait(t, links), oauthtest.BrowseOptions{StopBefore: true})
	fmt.Fprintln(typed, "http://localhost/callback")
	wait(t, again)
	fmt.Fprintln(typed, shown.URL)
	wait(t, running.done)
	if code := login.ProcessState.ExitCode(); code != 0 {
		t.Errorf("mcpo login exited with %d", code)
	}
	m.eventually(t, m.works)
}

// wait waits for what another process does.
func wait[T any](t *testing.T, events <-chan T) T {
	t.Helper()
	var none T
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("gave up waiting")
		return none
	}
}
