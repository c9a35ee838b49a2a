package metrics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// counting makes metrics with servers.
func counting(t testing.TB, names ...string) *Metrics {
	t.Helper()
	m, err := New("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	serveThem(t, m, names...)
	return m
}

func serveThem(t testing.TB, m *Metrics, names ...string) {
	t.Helper()
	servers := make([]Server, len(names))
	for i, name := range names {
		servers[i] = Server{Name: name, Transport: "stdio", State: func() State {
			return State{Connections: map[string]int{"connected": 1, "failed": 0}, Tools: 3, Processes: 1, Reconnects: 2}
		}}
	}
	if err := m.Serve(servers); err != nil {
		t.Fatal(err)
	}
}

// scrape gives the samples of /metrics, each with its labels, as text.
func scrape(t testing.TB, m *Metrics) map[string]string {
	t.Helper()
	got := ask(m, http.MethodGet, "/metrics", "")
	if got.Code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", got.Code, got.Body)
	}
	samples := map[string]string{}
	for line := range strings.Lines(got.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			end := strings.LastIndexByte(line, ' ')
			samples[line[:end]] = strings.TrimSpace(line[end:])
		}
	}
	return samples
}

func ask(m *Metrics, method, path, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.Handler(false, slog.New(slog.NewTextHandler(io.Discard, nil))).ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, samples map[string]string, want map[string]string) {
	t.Helper()
	for sample, value := range want {
		if got, ok := samples[sample]; !ok || got != value {
			t.Errorf("%s is %q, not %q", sample, got, value)
		}
	}
}

func TestWhatIsCounted(t *testing.T) {
	m := counting(t, "a", "b")
	c := m.Begin("a")
	expect(t, scrape(t, m), map[string]string{`mcpo_calls_in_flight{server="a"}`: "1"})
	c.Tool("echo")
	c.Waiting()
	c.Server()
	c.Waiting()
	c.Caller()
	c.End(OK)
	m.Begin("a").End(NotFound)
	m.Login("a", "ok")
	m.Login("a", "something new")
	m.Refresh("a", RefreshRefused)
	m.Document("b", true)
	m.Stored("file", "get", "ok", time.Millisecond)
	m.Grants(map[string]int{"memory": 1})
	m.Grants(map[string]int{"file": 7})
	m.Swept("file", 3)
	m.Available(func() (string, error) { return "postgres", errors.New("down") })
	m.Reloaded(false)
	expect(t, scrape(t, m), map[string]string{
		`mcpo_calls_total{outcome="ok",server="a",tool="echo"}`:                                 "1",
		`mcpo_calls_total{outcome="not_found",server="a",tool="other"}`:                         "1",
		`mcpo_calls_in_flight{server="a"}`:                                                      "0",
		`mcpo_call_duration_seconds_count{server="a",tool="echo"}`:                              "1",
		`mcpo_call_server_seconds_count{server="a"}`:                                            "1",
		`mcpo_call_own_seconds_bucket{server="a",le="5"}`:                                       "1",
		`mcpo_logins_total{outcome="ok",server="a"}`:                                            "1",
		`mcpo_logins_total{outcome="failed",server="a"}`:                                        "1",
		`mcpo_refreshes_total{outcome="refused",server="a"}`:                                    "1",
		`mcpo_refreshes_total{outcome="ok",server="b"}`:                                         "0",
		`mcpo_documents_served_total{answer="unchanged",server="b"}`:                            "1",
		`mcpo_store_operations_total{operation="get",outcome="ok",store="file"}`:                "1",
		`mcpo_store_operation_duration_seconds_bucket{operation="get",store="file",le="0.001"}`: "1",
		`mcpo_grants{store="file"}`:                                                             "7",
		`mcpo_swept_records_total{store="file"}`:                                                "3",
		`mcpo_reloads_total{outcome="refused"}`:                                                 "1",
		`mcpo_store_available{store="postgres"}`:                                                "0",
		`mcpo_last_reload_successful`:                                                           "0",
		`mcpo_connections{server="a",state="connected"}`:                                        "1",
		`mcpo_connections{server="a",state="failed"}`:                                           "0",
		`mcpo_reconnects_total{server="a"}`:                                                     "2",
		`mcpo_catalogue_tools{server="b"}`:                                                      "3",
		`mcpo_server_info{server="b",transport="stdio"}`:                                        "1",
	})
}

// TestNothingIsCounted where metrics are off.
func TestNothingIsCounted(t *testing.T) {
	var m *Metrics
	if n := testing.AllocsPerRun(100, func() {
		c := m.Begin("a")
		c.Tool("echo")
		c.Waiting()
		c.Server()
		c.Waiting()
		c.Caller()
		c.End(OK)
		m.Login("a", "ok")
		m.Refresh("a", RefreshOK)
		m.Document("a", false)
		m.Stored("file", "get", "ok", 0)
		m.Grants(nil)
		m.Swept("file", 1)
		m.Reloaded(true)
	}); n != 0 {
		t.Errorf("metrics that are off allocate %v times", n)
	}
	if err := m.Serve([]Server{{Name: "a"}}); err != nil {
		t.Error(err)
	}
}

// TestServersThatAreGone have no series, even if a call to one of them ends
// afterwards; those that stay go on counting.
func TestServersThatAreGone(t *testing.T) {
	m := counting(t, "stays", "goes")
	late := m.Begin("goes")
	m.Begin("stays").End(OK)
	serveThem(t, m, "stays", "comes")
	late.End(OK)
	m.Begin("goes").End(OK)
	m.Begin("stays").End(OK)
	samples := scrape(t, m)
	for sample := range samples {
		if strings.Contains(sample, "goes") {
			t.Errorf("there is still %s", sample)
		}
	}
	expect(t, samples, map[string]string{
		`mcpo_calls_total{outcome="ok",server="stays",tool="other"}`: "2",
		`mcpo_connections{server="comes",state="connected"}`:         "1",
	})
	serveThem(t, m, "goes")
	expect(t, scrape(t, m), map[string]string{`mcpo_calls_in_flight{server="goes"}`: "0"})
}

// TestLabelsAreBounded: whatever a server lists, and however often it changes
// that, its series are so many.
func TestLabelsAreBounded(t *testing.T) {
	m := counting(t, "a")
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := range 2500 {
				c := m.Begin("a")
				c.Tool(fmt.Sprintf("tool_%d_%d", part, i))
				c.End(OK)
			}
		})
	}
	all.Wait()
	for _, name := range []string{"\xff\xfe", strings.Repeat("x", maxToolName+1), "line\nmcpo_calls_total{server=\"b\"} 1\n"} {
		c := m.Begin("a")
		c.Tool(name)
		c.End(OK)
	}
	series := 0
	samples := scrape(t, m)
	for sample := range samples {
		if strings.HasPrefix(sample, "mcpo_calls_total{") {
			series++
		}
	}
	if series != maxTools+1 {
		t.Errorf("there are %d series of calls, not %d", series, maxTools+1)
	}
	if got := samples[`mcpo_calls_total{outcome="ok",server="a",tool="other"}`]; got != fmt.Sprint(10_000-maxTools+3) {
		t.Errorf("other tools were called %s times", got)
	}
}

// TestPrivateTools: names that not everybody may know are not in metrics.
func TestPrivateTools(t *testing.T) {
	m := counting(t)
	if err := m.Serve([]Server{{Name: "a", Private: true, State: func() State { return State{} }}}); err != nil {
		t.Fatal(err)
	}
	c := m.Begin("a")
	c.Tool("salaries")
	c.End(OK)
	expect(t, scrape(t, m), map[string]string{
		`mcpo_calls_total{outcome="ok",server="a",tool="other"}`:    "1",
		`mcpo_call_duration_seconds_count{server="a",tool="other"}`: "1",
	})
}

// TestHandler serves two formats, one path and one method.
func TestHandler(t *testing.T) {
	m := counting(t, "a")
	if got := ask(m, http.MethodGet, "/metrics", "application/openmetrics-text; version=1.0.0"); !strings.HasPrefix(got.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(got.Body.String(), "# EOF\n") {
		t.Errorf("asked for OpenMetrics: %s", got.Header().Get("Content-Type"))
	}
	native := "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	if got := ask(m, http.MethodGet, "/metrics", native); !strings.HasPrefix(got.Header().Get("Content-Type"), "application/vnd.google.protobuf") {
		t.Errorf("asked for what has native histograms: %s", got.Header().Get("Content-Type"))
	}
	for request, want := range map[string]int{
		"POST /metrics": 405, "DELETE /metrics": 405, "HEAD /metrics": 200, "GET /": 404, "GET /metrics/x": 404, "GET /debug/pprof/": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := ask(m, method, path, ""); got.Code != want {
			t.Errorf("%s: %d, not %d", request, got.Code, want)
		}
	}
}

// TestProfiles are there when asked for, without the command line.
func TestProfiles(t *testing.T) {
	h := counting(t).Handler(true, slog.New(slog.DiscardHandler))
	for request, want := range map[string]int{
		"GET /debug/pprof/": 200, "GET /debug/pprof/heap?debug=1": 200, "GET /debug/pprof/goroutine": 200, "GET /metrics": 200,
		"GET /debug/pprof/cmdline": 404, "POST /debug/pprof/heap": 405, "GET /": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, not %d", request, w.Code, want)
		}
	}
}

// BenchmarkCall is what metrics add to a call.
func BenchmarkCall(b *testing.B) {
	m := counting(b, "a")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			c := m.Begin("a")
			c.Tool("echo")
			c.Waiting()
			c.Caller()
			c.Waiting()
			c.Server()
			c.End(OK)
		}
	})
}
