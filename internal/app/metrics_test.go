package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/mcptest"
	"mcpo/internal/oauthtest"
	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// scraped runs an mcpo that serves metrics, and gives where it does.
func scraped(t *testing.T, o Options) (m *running, at string) {
	t.Helper()
	log := newPerson(t)
	o.MetricsAddr, o.Log = "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil))
	m = run(t, o)
	_, at, _ = strings.Cut(log.reads("/metrics"), `msg="metrics are served" url=`)
	at, _, _ = strings.Cut(at, "/metrics")
	return m, at
}

// fetch asks the listener for metrics.
func fetch(t *testing.T, method, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// samples are the values of a scrape, by name and labels, and its whole text.
func samples(t *testing.T, at string) (map[string]string, string) {
	t.Helper()
	status, text := fetch(t, "GET", at+"/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", status, text)
	}
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if end := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			all[line[:end]] = strings.TrimSpace(line[end:])
		}
	}
	return all, text
}

// expect awaits samples: what goes on beside the serving is counted by and by.
func expect(t *testing.T, at string, want map[string]string) {
	t.Helper()
	var wrong []string
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(hurry); time.Now().Before(deadline); <-tick.C {
		wrong = nil
		got, _ := samples(t, at)
		for sample, value := range want {
			if got[sample] != value {
				wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", sample, got[sample], value))
			}
		}
		if wrong == nil {
			return
		}
	}
	slices.Sort(wrong)
	t.Error(strings.Join(wrong, "\n"))
}

// busy is an mcpo that has done a bit of everything that is counted.
type busy struct {
	*running
	at   string
	lab  *oauthtest.Server
	home *household
}

// secretWord is an argument of a call.
const secretWord = "an-argument-of-a-call"

func newBusy(t *testing.T) *busy {
	t.Helper()
	s, h, p := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t), newPerson(t)
	h.write(guarded("lab", s.MCP, freePort(t), one), open(t, "clock"))
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m, at := scraped(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	m.await(200, "POST", "/lab/whoami", "{}")
	s.Expire()
	m.await(200, "POST", "/lab/whoami", "{}") // after a refresh
	m.await(200, "POST", "/clock/echo", `{"message":"`+secretWord+`"}`)
	for request, want := range map[string]int{
		`/clock/echo {"message":"` + secretWord + `"}`: 200, `/clock/echo {"message":7,"x":"` + secretWord + `"}`: 422,
		`/clock/fail {"message":"` + secretWord + `"}`: 500, "/clock/" + secretWord + " {}": 404,
	} {
		path, body, _ := strings.Cut(request, " ")
		if status, answer := m.get("POST", path, body); status != want {
			t.Errorf("%s: %d %s", request, status, answer)
		}
	}
	m.get("GET", "/clock/openapi.json", "")
	write(t, h.path, `{"mcpServers":{"a":`)
	m.reload <- struct{}{}
	expect(t, at, map[string]string{`mcpo_reloads_total{outcome="refused"}`: "1", `mcpo_last_reload_successful`: "0"})
	h.write(guarded("lab", s.MCP, freePort(t), one), open(t, "clock"))
	m.reload <- struct{}{}
	m.reload <- struct{}{} // taken when the one before is done
	return &busy{running: m, at: at, lab: s, home: h}
}

// TestMetrics compares what was done with what a scrape says, in which nothing
// secret is.
func TestMetrics(t *testing.T) {
	b := newBusy(t)
	expect(t, b.at, map[string]string{
		`mcpo_calls_total{outcome="ok",server="clock",tool="echo"}`:                    "2",
		`mcpo_calls_total{outcome="invalid",server="clock",tool="echo"}`:               "1",
		`mcpo_calls_total{outcome="tool_error",server="clock",tool="fail"}`:            "1",
		`mcpo_calls_total{outcome="not_found",server="clock",tool="other"}`:            "1",
		`mcpo_call_duration_seconds_count{server="clock",tool="echo"}`:                 "3",
		`mcpo_call_server_seconds_count{server="clock"}`:                               "4",
		`mcpo_call_own_seconds_count{server="clock"}`:                                  "4",
		`mcpo_calls_in_flight{server="clock"}`:                                         "0",
		`mcpo_documents_served_total{answer="whole",server="clock"}`:                   "1",
		`mcpo_connections{server="clock",state="connected"}`:                           "1",
		`mcpo_connections{server="clock",state="failed"}`:                              "0",
		`mcpo_child_processes{server="clock"}`:                                         "1",
		`mcpo_server_info{server="clock",transport="stdio"}`:                           "1",
		`mcpo_logins_total{outcome="ok",server="lab"}`:                                 "1",
		`mcpo_logins_total{outcome="denied",server="lab"}`:                             "0",
		`mcpo_refreshes_total{outcome="ok",server="lab"}`:                              "1",
		`mcpo_refreshes_total{outcome="refused",server="lab"}`:                         "0",
		`mcpo_callers{server="lab"}`:                                                   "1",
		`mcpo_reloads_total{outcome="refused"}`:                                        "1",
		`mcpo_last_reload_successful`:                                                  "1",
		`mcpo_store_available{store="file"}`:                                           "1",
		fmt.Sprintf(`mcpo_build_info{goversion=%q,version="test"}`, runtime.Version()): "1",
	})
	b.lab.RevokeAll()
	b.await(401, "POST", "/lab/whoami", "{}")
	expect(t, b.at, map[string]string{`mcpo_refreshes_total{outcome="refused",server="lab"}`: "1"})
	got, text := samples(t, b.at)
	if n, _ := strconv.Atoi(got[`mcpo_catalogue_tools{server="clock"}`]); n < 3 {
		t.Errorf("the catalogue has %d tools", n)
	}
	if got[`mcpo_store_operations_total{operation="lock",outcome="ok",store="file"}`] == "" {
		t.Error("no lock was counted")
	}
	if got[`mcpo_calls_total{outcome="login_required",server="lab",tool="other"}`]+got[`mcpo_calls_total{outcome="login_required",server="lab",tool="whoami"}`] == "" {
		t.Error("no call has needed a login")
	}
	for _, secret := range append(b.lab.Tokens(), secretWord, "alice", b.home.dir, "authorization_url") {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}

// TestMetricsOfServersThatAreGone: a reload takes their series away.
func TestMetricsOfServersThatAreGone(t *testing.T) {
	path := configFile(t, filepath.Join(t.TempDir(), "config.json"), map[string][]string{"stays": nil, "goes": nil})
	m, at := scraped(t, Options{ConfigPath: path})
	m.await(200, "POST", "/stays/echo", `{"message":"x"}`)
	m.await(200, "POST", "/goes/echo", `{"message":"x"}`)
	configFile(t, path, map[string][]string{"stays": nil, "comes": nil})
	m.reload <- struct{}{}
	m.reload <- struct{}{}
	if _, text := samples(t, at); strings.Contains(text, `"goes"`) || !strings.Contains(text, `"comes"`) {
		t.Errorf("after the reload:\n%s", text)
	}
	expect(t, at, map[string]string{`mcpo_calls_total{outcome="ok",server="stays",tool="echo"}`: "1"})
}

// TestMetricsUnderAttack: whoever calls whatever makes no series.
func TestMetricsUnderAttack(t *testing.T) {
	const names = 10_000
	path := configFile(t, filepath.Join(t.TempDir(), "config.json"), map[string][]string{"a": nil})
	m, at := scraped(t, Options{ConfigPath: path})
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	before, _ := samples(t, at)
	var all sync.WaitGroup
	for part := range 2 { // as many as keep their connections
		all.Go(func() {
			for n := range names / 2 {
				if status, _ := m.get("POST", fmt.Sprintf("/a/tool_%d_%d", part, n), "{}"); status != 404 {
					t.Errorf("a tool that is not there: %d", status)
				}
			}
		})
	}
	all.Wait()
	m.get("POST", "/nobody/tool", "{}")
	m.get("POST", "/a/echo", `{"message":1}`)
	expect(t, at, map[string]string{`mcpo_calls_total{outcome="not_found",server="a",tool="other"}`: strconv.Itoa(names)})
	after, _ := samples(t, at)
	var fresh []string
	for sample := range after {
		if _, old := before[sample]; !old && strings.HasPrefix(sample, "mcpo_") {
			fresh = append(fresh, sample)
		}
	}
	slices.Sort(fresh)
	want := []string{`mcpo_calls_total{outcome="invalid",server="a",tool="echo"}`, `mcpo_calls_total{outcome="not_found",server="a",tool="other"}`}
	if !slices.Equal(fresh, want) {
		t.Errorf("new series: %q", fresh)
	}
}

// TestMetricsNameNoCaller, though each has a login of their own.
func TestMetricsNameNoCaller(t *testing.T) {
	const key = "the key of a test's Open WebUI"
	s, h := oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	write(t, h.path, fmt.Sprintf(`{"storage": {"path": %q}, "identity": {"webui_secret_key": %q}, "mcpServers": {%s}}`,
		filepath.Join(h.dir, "storage"), key, guarded("a", s.MCP, freePort(t), "")))
	m, at := scraped(t, Options{ConfigPath: h.path})
	users := []string{"user-number-one", "user-number-two"}
	for _, user := range users {
		ask := func() (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/a/whoami", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+signed(t, key, map[string]any{"id": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}))
			return m.send(req)
		}
		_, body := ask()
		_, link, _ := strings.Cut(body, `"authorization_url":"`)
		link, _, _ = strings.Cut(link, `"`)
		browseTo(t, link, oauthtest.BrowseOptions{User: user})
		if status, body := ask(); status != http.StatusOK {
			t.Fatalf("%s: %d %s", user, status, body)
		}
	}
	expect(t, at, map[string]string{
		`mcpo_logins_total{outcome="ok",server="a"}`:                         "2",
		`mcpo_calls_total{outcome="login_required",server="a",tool="other"}`: "2",
		`mcpo_calls_total{outcome="ok",server="a",tool="whoami"}`:            "2",
		`mcpo_connections{server="a",state="connected"}`:                     "2",
		`mcpo_connections{server="a",state="login_required"}`:                "1", // of who is at this machine
		`mcpo_callers{server="a"}`:                                           "3",
	})
	_, text := samples(t, at)
	for _, secret := range append(s.Tokens(), append(users, key)...) {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}

// TestMetricsListener serves nothing but metrics, under no strange name, and what
// it serves is nowhere else.
func TestMetricsListener(t *testing.T) {
	m, at := scraped(t, Options{Command: []string{mcptest.BuildStdio(t)}, APIKey: "k", Profiles: true})
	for request, want := range map[string]int{
		"GET /metrics": 200, "GET /debug/pprof/": 200, "GET /debug/pprof/cmdline": 404, "POST /metrics": 405,
		"GET /": 404, "GET /openapi.json": 404, "GET /healthz": 404, "POST /echo": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, body := fetch(t, method, at+path, ""); status != want {
			t.Errorf("%s: %d, not %d: %.200s", request, status, want, body)
		}
	}
	if status, _ := fetch(t, "GET", at+"/metrics", "rebound.example.com"); status != http.StatusForbidden {
		t.Errorf("under a strange name: %d", status)
	}
	m.key = "k"
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		if status, body := m.get("GET", path, ""); status != http.StatusNotFound {
			t.Errorf("GET %s of the public listener: %d %.200s", path, status, body)
		}
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://")); err == nil {
		conn.Close()
		t.Error("metrics are served after the end")
	}
}

// TestMetricsAreOff unless asked for.
func TestMetricsAreOff(t *testing.T) {
	log := newPerson(t)
	m := run(t, Options{Command: []string{mcptest.BuildStdio(t)}, Profiles: true, Log: slog.New(slog.NewTextHandler(log, nil))})
	m.await(200, "POST", "/echo", `{"message":"x"}`)
	if text := log.reads(""); strings.Contains(text, "metrics") {
		t.Errorf("the log says:\n%s", text)
	}
}

// TestMetricsAddressThatIsTaken is an error at the start, which says what to set.
func TestMetricsAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Run(t.Context(), Options{Host: "127.0.0.1", ServerType: "stdio", Command: []string{"true"}, MetricsAddr: taken.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "listening for metrics on "+taken.Addr().String()) || !strings.Contains(err.Error(), "--metrics-addr") {
		t.Errorf("Run = %v", err)
	}
}

// TestMetricsForEverybody are warned of.
func TestMetricsForEverybody(t *testing.T) {
	log := newPerson(t)
	served, err := measure(Options{MetricsAddr: ":0", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	served.close()
	log.reads("everybody who reaches this address may read the metrics")
}

// TestStoreOutcomes are words that depend on no text.
func TestStoreOutcomes(t *testing.T) {
	for want, err := range map[string]error{
		"ok": nil, "not_found": fmt.Errorf("x: %w", store.ErrNotFound), "unavailable": store.ErrUnavailable, "lock_lost": store.ErrLockLost,
		"corrupt": store.ErrCorrupt, "canceled": fmt.Errorf("x: %w", context.Canceled), "error": errors.New("unavailable"),
	} {
		if got := storeOutcome(err); got != want {
			t.Errorf("%v is %q, not %q", err, got, want)
		}
	}
}

// TestMetricsOfADatabase: whether it can be asked, and what it is asked for.
func TestMetricsOfADatabase(t *testing.T) {
	database, s, h := pgtest.Start(t), oauthtest.Start(t, oauthtest.Options{}), newHousehold(t)
	write(t, h.path, fmt.Sprintf(`{"storage": {"type": "postgres", "encryption_key": "a key of thirty-two letters, yes", "dsn": %q}, "mcpServers": {%s}}`,
		database.DSN(), guarded("lab", s.MCP, freePort(t), one)))
	p := newPerson(t)
	browse, page := p.browser(oauthtest.BrowseOptions{})
	m, at := scraped(t, Options{ConfigPath: h.path, Terminal: Terminal{Out: p, Browse: browse}})
	page()
	m.await(200, "POST", "/lab/whoami", "{}")
	expect(t, at, map[string]string{`mcpo_store_available{store="postgres"}`: "1"})
	database.Stop(t)
	expect(t, at, map[string]string{`mcpo_store_available{store="postgres"}`: "0"})
	s.Expire() // a refresh needs the store
	m.get("POST", "/lab/whoami", "{}")
	got, text := samples(t, at)
	if !strings.Contains(text, `outcome="unavailable",store="postgres"`) || got[`mcpo_store_operations_total{operation="put",outcome="ok",store="postgres"}`] == "" {
		t.Errorf("the operations are not told:\n%s", text)
	}
	if strings.Contains(text, "thirty-two") || strings.Contains(text, database.DSN()) {
		t.Error("the metrics hold a secret of the store")
	}
}

// TestMetricsToTheEnd: while mcpo stops, and calls in flight finish, it can still
// be seen.
func TestMetricsToTheEnd(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, fmt.Sprintf(`{"mcpServers":{"a":{"type":"http","url":%q}}}`, waitingServer(t, arrived, release)))
	m, at := scraped(t, Options{ConfigPath: path})
	done := make(chan int, 1)
	go func() {
		status, _ := m.get("POST", "/a/wait", "{}")
		done <- status
	}()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- m.stop() }()
	await(t, "the end of the public listener", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if got, _ := samples(t, at); got[`mcpo_calls_in_flight{server="a"}`] != "1" {
		t.Errorf("%s calls are in flight", got[`mcpo_calls_in_flight{server="a"}`])
	}
	close(release)
	if status := <-done; status != 200 {
		t.Errorf("the call in flight: %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// TestMetricsOfAHostileServer: one that lists any number of tools, and changes
// them, makes no more series than others.
func TestMetricsOfAHostileServer(t *testing.T) {
	const tools = 300
	m, at := scraped(t, Options{Command: []string{mcptest.BuildStdio(t)}})
	for n := range tools {
		m.await(200, "POST", "/add_tool", fmt.Sprintf(`{"name":"more_%d"}`, n))
	}
	for n := range tools {
		m.await(200, "POST", fmt.Sprintf("/more_%d", n), "{}")
	}
	got, _ := samples(t, at)
	series := 0
	for sample := range got {
		if strings.HasPrefix(sample, "mcpo_calls_total{") && strings.Contains(sample, `outcome="ok"`) {
			series++
		}
	}
	if series != 201 || got[`mcpo_calls_total{outcome="ok",server="mcpserver",tool="other"}`] == "" {
		t.Errorf("there are %d series of calls", series)
	}
}
