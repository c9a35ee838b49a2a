package upstream

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/mcptest"
)

// followed is a call that is followed on a connection, and what was heard of it.
func followed(t *testing.T, c *connection) (token string, heard *[]string) {
	t.Helper()
	heard = new([]string)
	token, done := c.listeners.add(WithListener(t.Context(), func(s string) { *heard = append(*heard, s) }))
	t.Cleanup(done)
	return token, heard
}

// TestProgressFindsItsCall, and no other on the same connection (threats 22).
func TestProgressFindsItsCall(t *testing.T) {
	c := &connection{}
	one, heard := followed(t, c)
	two, others := followed(t, c)
	if one == two {
		t.Fatal("two calls have one token")
	}
	for _, params := range []string{
		`{"progressToken":"` + one + `","progress":1}`,
		`{"progressToken":"` + one + `","progress":0.5,"total":1e2}`,
		`{"progressToken":"` + one + `","progress":3,"total":10,"message":"reading"}`,
		`{"progressToken":"` + one + `","progress":3,"message":"reading"}`,
		`{"progressToken":"` + one + `","total":3,"message":"reading on"}`,
		// Nothing to be heard:
		`{"progressToken":"` + one + `","progress":"a","message":7}`,
		`{"progressToken":"` + strings.ToUpper(one) + `","message":"no"}`,
		`{"ProgressToken":"` + one + `","message":"no"}`,
		`{"progressToken":1,"message":"no"}`, `{"message":"no"}`, `[]`, `{`, ``, `null`,
		`{"progressToken":"` + one + `","progress":` + strings.Repeat("1", 1000) + `}`,
	} {
		c.hear("notifications/progress", json.RawMessage(params))
	}
	want := []string{"1", "0.5 of 1e2", "reading (3 of 10)", "reading", "reading on"}
	if diff := cmp.Diff(want, *heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if *others != nil {
		t.Errorf("the other call heard %q", *others)
	}
}

// TestLogsAreHeardByOnePerson: a log line names no call, so only connections of
// one person pass it on (threats 22).
func TestLogsAreHeardByOnePerson(t *testing.T) {
	for _, who := range []caller.ID{{}, caller.Shared(), caller.Local(), caller.User("alice")} {
		c := &connection{who: who}
		_, heard := followed(t, c)
		for _, params := range []string{
			`{"level":"info","data":"reading"}`, `{"level":"warning","logger":"x","data":{"msg":"odd","n":1}}`, `{"level":"error","data":{"message":"worse","msg":"odd"}}`,
			`{"level":"debug","data":"no"}`, `{"level":"info","data":{"n":1}}`, `{"level":"info","data":["no"]}`, `{"level":"info","data":" "}`, `{"level":"info"}`, `[`,
		} {
			c.hear("notifications/message", json.RawMessage(params))
		}
		var want []string
		if who.IsOne() {
			want = []string{"reading", "odd", "worse"}
		}
		if diff := cmp.Diff(want, *heard); diff != "" {
			t.Errorf("%v (-want +got):\n%s", who, diff)
		}
	}
}

// TestNobodyFollows: a call that nobody follows asks for nothing, and one that
// is over hears nothing.
func TestNobodyFollows(t *testing.T) {
	c := &connection{who: caller.User("alice")}
	if token, done := c.listeners.add(t.Context()); token != "" {
		t.Errorf("a token without a listener: %s", token)
	} else {
		done()
	}
	token, done := c.listeners.add(WithListener(context.Background(), func(s string) { t.Errorf("heard %q after the end", s) }))
	done()
	c.hear("notifications/progress", json.RawMessage(`{"progressToken":"`+token+`","progress":1}`))
	c.hear("notifications/message", json.RawMessage(`{"level":"info","data":"late"}`))
	if !c.listeners.none() {
		t.Error("the call is still followed")
	}
}

// TestProgressOverAllTransports: each of two calls at once on one connection
// hears its own, in order.
func TestProgressOverAllTransports(t *testing.T) {
	for name, cfg := range map[string]config.Server{
		"stdio":           stdioConfig(t),
		"streamable-http": {Name: "h", Transport: config.StreamableHTTP, URL: mcptest.StartHTTP(t, mcptest.Options{ProtocolVersions: []string{"2025-06-18"}})},
		"stateless":       {Name: "h", Transport: config.StreamableHTTP, URL: mcptest.StartHTTP(t, mcptest.Options{Stateless: true})},
		"sse":             {Name: "s", Transport: config.SSE, URL: mcptest.StartSSE(t, mcptest.Options{})},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, cfg, Options{})
			var calls sync.WaitGroup
			for range 2 {
				calls.Go(func() {
					heard := make(chan string, 100)
					ctx := WithListener(testContext(t), func(text string) { heard <- text })
					reply, err := s.Call(ctx, who, "slow", json.RawMessage(`{"ms":100}`), nil)
					if err != nil || reply.Error != nil {
						t.Errorf("slow = %v, %v", reply.Error, err)
					}
					for i := range 9 { // the last may come beside the answer
						select {
						case got := <-heard:
							if want := strconv.Itoa(i+1) + " of 10"; got != want {
								t.Errorf("heard %q, want %q", got, want)
							}
						case <-ctx.Done():
							t.Error("nothing more is heard")
							return
						}
					}
				})
			}
			calls.Wait()
			if !s.first.listeners.none() {
				t.Error("a call is still followed")
			}
		})
	}
}

func FuzzProgress(f *testing.F) {
	f.Add(`{"progressToken":"call-1","progress":3,"total":10,"message":"reading"}`)
	f.Fuzz(func(t *testing.T, params string) {
		c := &connection{who: caller.User("alice")}
		_, _ = followed(t, c)
		c.hear("notifications/progress", json.RawMessage(params))
		c.hear("notifications/message", json.RawMessage(params))
	})
}
