package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/oauthtest"
)

const (
	connectPage  = "GET /oauth/lab/authorize"
	connectForm  = "POST /oauth/lab/authorize"
	callbackPage = "GET /oauth/lab/callback"
)

// TestReplicasShareLogins has a login walk through all replicas: the link is
// given by one, its page is shown by the next, and the browser comes back to
// another.
func TestReplicasShareLogins(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		alice := r.member(t, "alice")
		for i := range three { // whoever gives the link
			bob := r.member(t, fmt.Sprint("bob", i))
			page, form, back := (i+1)%three, (i+2)%three, i
			if i == 0 {
				bob, form, back = alice, page, 2 // three that differ
			}
			r.lead(connectPage, page)
			r.lead(connectForm, form)
			r.lead(callbackPage, back)
			link := bob.mustLink(t, r.all[i].base)
			bob.follow(t, link)
			for what, want := range map[string]int{connectPage: page, connectForm: form, callbackPage: back} {
				if went := r.wentTo(what); len(went) == 0 || went[len(went)-1] != want {
					t.Errorf("%s went to the replicas %v, want %d at last", what, went, want)
				}
			}
			bob.mustWork(t)
			if shown := browse(t, link, oauthtest.BrowseOptions{User: bob.name}); shown.Status != http.StatusBadRequest {
				t.Errorf("a link that was used: %d %s", shown.Status, shown.Body)
			}
		}
		alice.mustWork(t)
		r.hadAtLab(t, "register", 1)
	})
}

// TestReplicasUseTicketsOnce: two browsers open one link, and send its form to
// two replicas at once.
func TestReplicasUseTicketsOnce(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		alice := r.member(t, "alice")
		link := alice.mustLink(t, r.url)
		r.gather(connectForm, three)
		var connected, refused atomic.Int32
		problem := together(three, func(int) error {
			shown, err := oauthtest.Browse(t.Context(), link, oauthtest.BrowseOptions{User: "alice"})
			switch {
			case err != nil:
				return err
			case shown.Status == http.StatusOK && strings.Contains(shown.Body, "Connected"):
				connected.Add(1)
			case shown.Status == http.StatusBadRequest && strings.Contains(shown.Body, "finished already"):
				refused.Add(1)
			default:
				return fmt.Errorf("a page with status %d: %s", shown.Status, shown.Body)
			}
			return nil
		})
		if problem != nil || connected.Load() != 1 || refused.Load() != three-1 {
			t.Errorf("%d browsers were connected, and %d refused (%v)", connected.Load(), refused.Load(), problem)
		}
		went := r.wentTo(connectForm)
		slices.Sort(went)
		if diff := cmp.Diff([]int{0, 1, 2}, went); diff != "" {
			t.Errorf("the forms went to other replicas (-want +got):\n%s", diff)
		}
		r.hadAtLab(t, "authorize", 1)
		alice.mustWork(t)
	})
}

// TestReplicasTakeCallbacksOnce: a browser comes back to all replicas at once.
func TestReplicasTakeCallbacksOnce(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		alice := r.member(t, "alice")
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		back := browse(t, alice.mustLink(t, r.url), oauthtest.BrowseOptions{User: "alice", Jar: jar, StopBefore: true})
		exchanged := r.outside.Requests("token")
		r.gather(callbackPage, three)
		var finished, refused atomic.Int32
		problem := together(three, func(int) error {
			shown, err := oauthtest.Browse(t.Context(), back.URL, oauthtest.BrowseOptions{Jar: jar})
			switch {
			case err != nil:
				return err
			case shown.Status == http.StatusOK:
				finished.Add(1)
			case shown.Status == http.StatusBadRequest && strings.Contains(shown.Body, "finished already"):
				refused.Add(1)
			default:
				return fmt.Errorf("a page with status %d: %s", shown.Status, shown.Body)
			}
			return nil
		})
		if problem != nil || finished.Load() != 1 || refused.Load() != three-1 {
			t.Errorf("the login was finished %d times, and refused %d times (%v)", finished.Load(), refused.Load(), problem)
		}
		r.hadAtLab(t, "token", exchanged+1)
		alice.mustWork(t)
	})
}

// TestReplicasRegisterOnce: the first logins of all begin at once, each at
// another replica.
func TestReplicasRegisterOnce(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		var all []member
		var links []string
		for i := range three {
			m := r.member(t, fmt.Sprint("person", i))
			all, links = append(all, m), append(links, m.mustLink(t, r.url))
		}
		r.gather(connectForm, three)
		if err := together(three, func(i int) error {
			shown, err := oauthtest.Browse(t.Context(), links[i], oauthtest.BrowseOptions{User: all[i].name})
			if err == nil && shown.Status != http.StatusOK {
				err = fmt.Errorf("the page after the login has status %d: %s", shown.Status, shown.Body)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		r.hadAtLab(t, "register", 1)
		for _, m := range all {
			m.mustWork(t)
		}
	})
}

// TestReplicasShareCatalogues: two replicas learn of different tools at once. All
// show both kinds to everybody, those with files after their next start.
func TestReplicasShareCatalogues(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{Tools: func(user string, s *mcp.Server) {
			own := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{}, nil, nil
			}
			mcp.AddTool(s, &mcp.Tool{Name: "of-" + user}, own)
		}})
		people := r.people(t, 2)
		if err := together(len(people), func(i int) error { return people[i].works(r.all[i].base) }); err != nil {
			t.Fatal(err)
		}
		for i := range r.all {
			await(t, func() error {
				if s.dsn == "" { // they write by and by
					r.restart(t, i)
				}
				return errors.Join(r.shows(i, "/whoami"), r.shows(i, "/of-person-0"), r.shows(i, "/of-person-1"))
			})
		}
	})
}

// shows gives an error unless the document of replica i has a path for those
// who say not who they are.
func (r *replicas) shows(i int, path string) error {
	req, err := http.NewRequest(http.MethodGet, r.all[i].base+"/lab/openapi.json", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+replicasKey)
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var d struct {
		Paths map[string]any
	}
	err = json.NewDecoder(resp.Body).Decode(&d)
	if err == nil && d.Paths[path] == nil {
		err = errors.New("the document does not have " + path)
	}
	return err
}

// restart stops replica i and starts another one in its place.
func (r *replicas) restart(t *testing.T, i int) {
	t.Helper()
	r.all[i].stop()
	r.start(t, i)
	await(t, func() error {
		if !r.serves(i) {
			return fmt.Errorf("replica %d is not ready", i)
		}
		return nil
	})
}
