package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/mcptest"
	"mcpo/internal/tracetest"
)

// traced is an mcpo that sends its traces to a collector.
type traced struct {
	*running
	collector *tracetest.Collector
	log       *person
	calls     int
}

// runTraced starts mcpo with a configuration.
func runTraced(t *testing.T, path string) *traced {
	t.Helper()
	m := &traced{collector: tracetest.Start(t), log: newPerson(t)}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", m.collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	m.start(t, path)
	return m
}

func (m *traced) start(t *testing.T, path string) {
	t.Helper()
	m.running = run(t, Options{ConfigPath: path, Log: slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

// callersSpan is the span that all callers of these tests are in.
const callersSpan = "00f067aa0ba902b7"

// call makes a call in a trace of its own; headers are "Name: value". It gives the
// answer, and the span of the request when that has arrived, below which all
// others have arrived too.
func (m *traced) call(path, body string, headers ...string) (status int, answer string, request tracetest.Span) {
	m.t.Helper()
	m.calls++
	trace := fmt.Sprintf("4bf92f3577b34da6a3ce92%010x", m.calls)
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.url+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-"+trace+"-"+callersSpan+"-01")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	status, answer = m.send(req)
	request = m.collector.Await(inTime(m.t), m.t, func(s tracetest.Span) bool { return s.Trace == trace && s.Kind == "SERVER" })
	if request.Parent != callersSpan {
		m.t.Errorf("the request's span is within %q", request.Parent)
	}
	return status, answer, request
}

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	t.Cleanup(cancel)
	return ctx
}

// below is the one span of that name in the trace of a request.
func (m *traced) below(request tracetest.Span, name string) (found tracetest.Span) {
	m.t.Helper()
	n := 0
	for _, s := range m.collector.Spans() {
		if s.Trace == request.Trace && s.Name == name {
			found = s
			n++
		}
	}
	if n != 1 {
		m.t.Fatalf("there are %d spans %q in\n%s", n, name, m.collector.Tree(request))
	}
	return found
}

// want fails the test unless the spans are these.
func (m *traced) want(root tracetest.Span, lines ...string) {
	m.t.Helper()
	if diff := cmp.Diff(strings.Join(lines, "\n")+"\n", m.collector.Tree(root)); diff != "" {
		m.t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestTraceOfACall, over each transport: the caller's trace goes on at the server,
// and nothing in it says what was asked, or answered, or by whom.
func TestTraceOfACall(t *testing.T) {
	path, seen := t.TempDir()+"/config.json", &sawHeaders{}
	write(t, path, fmt.Sprintf(`{"mcpServers": {"stdio": {"command": %q}, "http": {"type": "http", "url": %q}, "sse": {"type": "sse", "url": %q}}}`,
		mcptest.BuildStdio(t), seen.before(t, mcptest.StartHTTP(t, mcptest.Options{})), seen.before(t, mcptest.StartSSE(t, mcptest.Options{}))))
	m := runTraced(t, path)
	for server, version := range map[string]string{"stdio": "", "http": "", "sse": ""} {
		t.Run(server, func(t *testing.T) {
			m.await(200, "POST", "/"+server+"/echo", `{"message":"x"}`)
			status, answer, request := m.call("/"+server+"/meta?key=secret-query", "{}", "Tracestate: vendor=state-of-the-caller", "Baggage: user=secret-baggage")
			m.want(request, "POST /{server}/{tool}", "  identify caller", "  tools/call meta")
			call := m.below(request, "tools/call meta")
			wantMeta(t, status, answer, "00-"+request.Trace+"-"+call.ID+"-01")
			transport := map[string]string{"network.transport": "tcp", "network.protocol.name": "http", "server.address": "127.0.0.1"}
			if server == "stdio" {
				transport = map[string]string{"network.transport": "pipe"}
			}
			want := map[string]string{"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "meta"}
			for name, value := range transport {
				want[name] = value
			}
			got := call.Attributes
			if version = got["mcp.protocol.version"]; len(version) != len("2025-11-25") {
				t.Errorf("the protocol's version is %q", version)
			}
			delete(got, "mcp.protocol.version")
			delete(got, "server.port")
			if diff := cmp.Diff(want, got); diff != "" || call.Kind != "CLIENT" || call.Error {
				t.Errorf("the call is %+v, attributes (-want +got):\n%s", call, diff)
			}
			wantRequest := map[string]string{"http.request.method": "POST", "http.route": "/{server}/{tool}", "http.response.status_code": "200", "mcpo.server": server}
			if diff := cmp.Diff(wantRequest, request.Attributes); diff != "" || request.Error {
				t.Errorf("the request is %+v, attributes (-want +got):\n%s", request, diff)
			}
			m.log.reads("trace_id=" + request.Trace + " span_id=" + request.ID)

			header := seen.last()
			if parent := "00-" + request.Trace + "-" + call.ID + "-01"; server != "stdio" && (header.Get("Traceparent") != parent || header.Get("Tracestate") != "vendor=state-of-the-caller") {
				t.Errorf("the server saw the header %v, want the parent %s", header, parent)
			}
			if header.Get("Baggage") != "" {
				t.Errorf("baggage went along: %v", header)
			}
			_, _, request = m.call("/"+server+"/fail", `{"message":"secret-argument"}`)
			m.want(request, "POST /{server}/{tool}: 500", "  identify caller", "  tools/call fail: tool_error")
			_, _, request = m.call("/"+server+"/echo", `{"message":17}`)
			m.want(request, "POST /{server}/{tool}: 422", "  identify caller")
			_, _, request = m.call("/"+server+"/secret-tool", `{}`)
			m.want(request, "POST /{server}/{tool}: 404", "  identify caller")
			_, _, request = m.call("/"+server+"/add", `{"a":1,"b":2}`, "Traceparent: 00-malformed")
			m.want(request, "POST /{server}/{tool}", "  identify caller", "  tools/call add")
		})
	}
	m.clean(t, "secret-", "17")
}

// sawHeaders keeps the header of the last call.
type sawHeaders struct {
	mu     sync.Mutex
	header http.Header
}

// before puts itself before a server, and gives its own address for it.
func (s *sawHeaders) before(t *testing.T, at string) string {
	to, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	path := to.Path
	to.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1 // event streams
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && strings.Contains(string(body), `"tools/call"`) {
			s.mu.Lock()
			s.header = r.Header.Clone()
			s.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	return front.URL + path
}

func (s *sawHeaders) last() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header
}

// wantMeta checks the _meta that the server was sent.
func wantMeta(t *testing.T, status int, answer, parent string) {
	t.Helper()
	var text string
	var meta map[string]any
	if err := json.Unmarshal([]byte(answer), &meta); err != nil { // else it is a text with JSON in it
		_ = json.Unmarshal([]byte(answer), &text)
		_ = json.Unmarshal([]byte(text), &meta)
	}
	if status != 200 || meta["traceparent"] != parent || meta["tracestate"] != "vendor=state-of-the-caller" || meta["baggage"] != nil {
		t.Errorf("the server saw _meta %d %s, want the parent %s", status, answer, parent)
	}
}

// clean fails the test if the collector was sent any of the texts.
func (m *traced) clean(t *testing.T, texts ...string) {
	t.Helper()
	raw := m.collector.Raw()
	if len(raw) < 1000 {
		t.Fatalf("the collector was sent %d bytes", len(raw))
	}
	for _, text := range texts {
		if text == "" || strings.Contains(raw, text) {
			t.Errorf("the collector was sent %q", text)
		}
	}
}

// TestTraceOfATimeout has a call that takes too long, where calls have turns.
func TestTraceOfATimeout(t *testing.T) {
	path := t.TempDir() + "/config.json"
	write(t, path, fmt.Sprintf(`{"mcpServers": {"a": {"command": %q, "timeout": 1, "limits": {"concurrent": 4}}}}`, mcptest.BuildStdio(t)))
	m := runTraced(t, path)
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	status, _, request := m.call("/a/slow", `{"ms":600000}`)
	m.want(request, "POST /{server}/{tool}: 504", "  identify caller", "  wait for turn", "  tools/call slow: timeout")
	if call := m.below(request, "tools/call slow"); status != 504 || !request.Error || !call.Error {
		t.Errorf("%d, the request is %+v and the call %+v", status, request, call)
	}
}

// TestNoTraceUnlessAskedFor: a caller's trace ends at an mcpo without any.
func TestNoTraceUnlessAskedFor(t *testing.T) {
	path := t.TempDir() + "/config.json"
	write(t, path, fmt.Sprintf(`{"mcpServers": {"a": {"type": "http", "url": %q}}}`, mcptest.StartHTTP(t, mcptest.Options{})))
	m := run(t, Options{ConfigPath: path})
	m.await(200, "POST", "/a/echo", `{"message":"x"}`)
	for _, tool := range []string{"meta", "whoami"} {
		req, err := http.NewRequest(http.MethodPost, m.url+"/a/"+tool, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-"+callersSpan+"-01")
		if status, body := m.send(req); status != 200 || strings.Contains(strings.ToLower(body), "traceparent") {
			t.Errorf("%s: %d %s", tool, status, body)
		}
	}
}

// TestCollectorsDelayNobody: neither one that hangs nor one that is not there.
func TestCollectorsDelayNobody(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	for name, at := range map[string]string{"hangs": hanging.URL, "is not there": fmt.Sprintf("http://127.0.0.1:%d", freePort(t))} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at)
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
			m := run(t, Options{Command: []string{mcptest.BuildStdio(t)}})
			start := time.Now()
			for range 50 { // one that waited would wait for 10 s
				if status, body := m.get("POST", "/echo", `{"message":"x"}`); status != 200 {
					t.Fatalf("%d %s", status, body)
				}
			}
			served := time.Since(start)
			if err := m.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 25*time.Second {
				t.Errorf("it took %v, of which %v were for the calls", took, served)
			}
		})
	}
}

// TestMistakesInVariablesEndTheStart, before anything is opened.
func TestMistakesInVariablesEndTheStart(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
	err := Run(t.Context(), Options{Host: "127.0.0.1", ServerType: "stdio", Command: []string{mcptest.BuildStdio(t)}, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_ENDPOINT: that is no http or https URL; write for example") {
		t.Errorf("Run = %v", err)
	}
}
