package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcpo/internal/oauthtest"
)

// How much the property test does.
const (
	crowdSize  = 6
	crowdTurns = 30 // of each caller
	fateTurns  = 30
)

// TestCallersNeverMeet is a property test: whatever callers do at the same time,
// and whatever happens to servers and configuration meanwhile, nobody is ever
// shown anything of another's (threats 21, 22). JSON-RPC ids are equal all the
// time, as every caller's connection counts from one.
//
// The servers answer with whom the token names, and give each person an own
// tool; that says where a call really went. MCPO_TEST_SEED repeats a run.
func TestCallersNeverMeet(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if told, err := strconv.ParseUint(os.Getenv("MCPO_TEST_SEED"), 10, 64); err == nil {
		seed = told
	}
	c := newCrowd(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with MCPO_TEST_SEED=%d", seed)
		}
	})
	var lives sync.WaitGroup
	for _, p := range c.people {
		lives.Go(func() { p.live(rand.New(rand.NewPCG(seed, uint64(p.number)))) })
	}
	lives.Go(func() { c.fate(rand.New(rand.NewPCG(seed, crowdSize))) })
	lives.Wait()
	for _, p := range c.people {
		for _, h := range c.houses {
			if p.settle(h); !strings.Contains(p.document(h), p.tool(h)) {
				t.Errorf("in the end %s does not see the own tools of %s", p.name, h.name)
			}
		}
	}
	t.Logf("%d calls were answered, %d were refused for want of a login, %d came between changes; %d logins",
		c.answered.Load(), c.refused.Load(), c.between.Load(), c.loggedIn.Load())
	if c.answered.Load() < crowdSize*crowdTurns/4 || c.refused.Load() == 0 {
		t.Error("too little was done to tell anything")
	}
}

// crowd is several callers at one mcpo with several servers.
type crowd struct {
	t      *testing.T
	mcpo   *running
	home   *household
	ports  []int
	houses []*house
	people []*member

	answered, refused, between, loggedIn atomic.Int64
}

// house is a server, and what happened to it.
type house struct {
	name, at string
	outside  *oauthtest.Server
	private  bool
	// changes counts what may make a call of that time be refused: it is odd
	// while such a thing goes on.
	changes *atomic.Int64
	// reloads counts the same of the configuration.
	reloads *atomic.Int64
	seconds int // its timeout, by which a reload changes it; of fate alone
}

// moment is when something began, by what had happened until then.
type moment struct{ changes, reloads int64 }

func (h *house) now() moment { return moment{h.changes.Load(), h.reloads.Load()} }

// quietSince tells whether nothing has happened since that may cost a login.
func (h *house) quietSince(m moment) bool { return m.changes%2 == 0 && h.changes.Load() == m.changes }

const crowdKey, crowdUserKey = "the-session-key-of-the-crowd", "the-user-key-of-the-crowd"

func newCrowd(t *testing.T) *crowd {
	c := &crowd{t: t, home: newHousehold(t)}
	one := oauthtest.Start(t, oauthtest.Options{Tools: ownTool})
	two := oauthtest.Start(t, oauthtest.Options{Tools: ownTool, SeparateOrigin: true})
	sse := oauthtest.Start(t, oauthtest.Options{Tools: ownTool, SSE: true})
	changes, reloads := [3]atomic.Int64{}, new(atomic.Int64)
	c.houses = []*house{
		{name: "first", at: one.MCP, outside: one, changes: &changes[0]},
		{name: "second", at: one.Second, outside: one, changes: &changes[0], private: true}, // the same accounts
		{name: "third", at: two.MCP, outside: two, changes: &changes[1]},
		{name: "fourth", at: sse.MCP, outside: sse, changes: &changes[2]},
	}
	for _, h := range c.houses {
		h.reloads, h.seconds = reloads, 60
		c.ports = append(c.ports, freePort(t))
	}
	for i := range crowdSize {
		// No name is part of another.
		c.people = append(c.people, &member{crowd: c, number: i, name: fmt.Sprintf("caller%c", 'A'+i), in: map[*house]*standing{}})
		for _, h := range c.houses {
			c.people[i].in[h] = &standing{}
		}
	}
	c.write()
	c.mcpo = run(t, Options{ConfigPath: c.home.path, MaxCallers: crowdSize - 1}) // they take each other's connections
	return c
}

// ownTool gives a person a tool of their own, which repeats what it is told.
func ownTool(user string, s *mcp.Server) {
	type told struct {
		Nonce string `json:"nonce"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "own_" + user, Description: "Only for " + user + "."},
		func(_ context.Context, r *mcp.CallToolRequest, in told) (*mcp.CallToolResult, any, error) {
			by := user // over SSE it is not known who calls
			if r.Extra != nil && r.Extra.TokenInfo != nil {
				by = r.Extra.TokenInfo.UserID
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: user + " " + by + " " + in.Nonce}}}, nil, nil
		})
}

func (c *crowd) write() {
	c.t.Helper()
	var servers []string
	for i, h := range c.houses {
		transport, more := "http", ""
		if strings.HasSuffix(h.at, "/sse") {
			transport = "sse"
		}
		if h.private {
			more = `, "catalog": "private"`
		}
		if i > 0 { // the files of one server are enough to wait for
			more += `, "storage_type": "memory"`
		}
		if i == 2 { // connections come and go
			more += `, "session_timeout_minutes": 0.001`
		}
		servers = append(servers, fmt.Sprintf(`%q: {"type": %q, "url": %q, "timeout": %d, "oauth": {"server_url": "auto", "callback_port": %d%s}}`,
			h.name, transport, h.at, h.seconds, c.ports[i], more))
	}
	write(c.t, c.home.path, fmt.Sprintf(`{"storage": {"path": %q}, "identity": {"webui_secret_key": %q, "forward_jwt_secret": %q}, "mcpServers": {%s}}`,
		filepath.Join(c.home.dir, "storage"), crowdKey, crowdUserKey, strings.Join(servers, ",")))
}

// fate is what happens to all callers of a server at once.
func (c *crowd) fate(random *rand.Rand) {
	for range fateTurns {
		h := c.houses[random.IntN(len(c.houses))]
		switch n := random.IntN(100); {
		case n < 30:
			h.outside.ForgetSessions()
		case n < 60:
			c.reload(random)
		case n < 90:
			h.upset(h.outside.Expire)
		case n < 96:
			h.upset(h.outside.RevokeAll)
		default:
			h.upset(h.outside.Forget)
		}
		// The pace is that of the others: no turn before somebody has had one.
		c.people[random.IntN(crowdSize)].look(h)
	}
}

// upset does what may cost a login, or the answer of a call.
func (h *house) upset(what func()) {
	h.changes.Add(1)
	defer h.changes.Add(1)
	what()
}

// reload changes a server's configuration: callers get new connections there.
func (c *crowd) reload(random *rand.Rand) {
	h := c.houses[random.IntN(len(c.houses))]
	h.seconds ^= 1
	c.write()
	h.reloads.Add(1)
	c.mcpo.reload <- struct{}{}
}
