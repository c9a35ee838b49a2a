package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/mcptest"
	"mcpo/internal/upstream"
)

// TestRoutes asks every route in every arrangement of paths.
func TestRoutes(t *testing.T) {
	type shape struct {
		single       bool
		root, prefix string
	}
	const message = `{"message":"hi"}`
	for _, s := range []shape{
		{}, {root: "/api/mcpo/"}, {prefix: "tools"}, {root: "/api", prefix: "/tools/"},
		{single: true}, {single: true, root: "/api"}, {single: true, prefix: "/tools"}, {single: true, root: "/api", prefix: "/tools"},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			a := serve(t, setup{Options: Options{RootPath: s.root, PathPrefix: s.prefix}, single: s.single, servers: []config.Server{real(t, "time")}})
			root, prefix := normalise(s.root), normalise(s.prefix)
			base := prefix + "/time"
			bases := []string{base}
			if s.single {
				base, bases = prefix, []string{"", prefix}
			}
			for _, outer := range []string{"", root} {
				a.do("GET", outer+"/healthz", "").want(t, "healthz", 200, `"ok"`)
				a.do("GET", outer+"/readyz", "").want(t, "readyz", 200, `"ready":true`)
				a.do("GET", outer+"/", "").want(t, "index", 200, "<h1>")
				a.do("GET", outer+"/docs", "").want(t, "docs", 200, "swagger-ui")
				a.do("GET", outer+"/openapi.json", "").want(t, "openapi.json", 200, `"openapi":"3.1.0"`)
				a.do("GET", outer+"/docs/assets/swagger-ui.css", "").want(t, "assets", 200, ".swagger-ui")
				a.do("GET", outer+"/nope/nope", "").want(t, "nothing", 404, "openapi.json")
				for _, base := range bases {
					path := outer + base
					a.do("POST", path+"/echo", message).want(t, path+"/echo", 200, `"hi"`)
					a.do("POST", path+"/echo/", message).want(t, path+"/echo/", 200, `"hi"`)
					a.do("GET", path+"/docs/", "").want(t, path+"/docs/", 200, "swagger-ui")
					a.do("GET", path+"/docs/assets/swagger-ui.css", "").want(t, path+" assets", 200, ".swagger-ui")
					a.do("GET", path+"/openapi.json", "").want(t, path+"/openapi.json", 200, `"/echo"`)
					a.do("GET", path+"/openapi.json/", "").want(t, path+"/openapi.json/", 200, `"/echo"`)
					a.do("GET", path+"/nope", "").want(t, path+"/nope", 404, "message")
					a.do("POST", path+"/nope", "{}").want(t, path+"/nope", 404, "no tool")
				}
			}
			if !s.single {
				if one, two := a.do("GET", base, ""), a.do("GET", base+"/", ""); one.status != 200 || two.status != 200 {
					t.Errorf("%s = %d, %s/ = %d", base, one.status, base, two.status)
				}
				if prefix != "" {
					a.do("POST", "/time/echo", message).want(t, "without the prefix", 404, "")
					a.do("GET", prefix+"/openapi.json", "").want(t, "root document under the prefix", 404, "")
				}
			}
			document := a.do("GET", root+base+"/openapi.json", "").body
			wantURL := root + base
			var d struct{ Servers []struct{ URL string } }
			if err := json.Unmarshal([]byte(document), &d); err != nil {
				t.Fatal(err)
			}
			if wantURL == "" && len(d.Servers) != 0 || wantURL != "" && (len(d.Servers) != 1 || d.Servers[0].URL != wantURL) {
				t.Errorf("servers = %+v, want %q", d.Servers, wantURL)
			}
			a.do("GET", root+base+"/docs", "").want(t, "docs name the document", 200, `\/`[1:]+"openapi.json")
		})
	}
}

// TestRootDocument is as recorded, word for word.
func TestRootDocument(t *testing.T) {
	a := serve(t, setup{Options: Options{PathPrefix: "/tools"}, servers: []config.Server{real(t, "memory"), real(t, "time")}})
	want := `{"openapi":"3.1.0","info":{"title":"MCP OpenAPI Proxy","description":"Automatically generated API from MCP Tool Schemas` +
		`\n\n- **available tools**：\n    - [memory](/tools/memory/docs)\n    - [time](/tools/time/docs)","version":"1.0"},"paths":{}}`
	if got := a.do("GET", "/openapi.json", "").body; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	a = serve(t, setup{Options: Options{Name: "My N", Description: "My D", Version: "9.9", RootPath: "/r"}, servers: []config.Server{real(t, "x")}})
	a.do("GET", "/openapi.json", "").want(t, "root document", 200,
		`"info":{"title":"My N","description":"My D\n\n- **available tools**：\n    - [x](/r/x/docs)","version":"9.9"},"servers":[{"url":"/r"}]`)
}

func TestMethods(t *testing.T) {
	a := serve(t, setup{servers: []config.Server{real(t, "time")}})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/time/echo", 405, "POST"},
		{"HEAD", "/time/echo", 405, "POST"},
		{"OPTIONS", "/time/echo", 405, "POST"},
		{"DELETE", "/time/echo", 405, "POST"},
		{"POST", "/time", 405, "GET, HEAD"},
		{"POST", "/docs", 405, "GET, HEAD"},
		{"POST", "/", 405, "GET, HEAD"},
		{"PUT", "/openapi.json", 405, "GET, HEAD"},
		{"TRACE", "/healthz", 405, "GET, HEAD"},
		{"GET", "/time/nope", 404, ""},
		{"DELETE", "/nope", 404, ""},
		{"HEAD", "/openapi.json", 200, ""},
		{"HEAD", "/time/openapi.json", 200, ""},
		{"HEAD", "/", 200, ""},
		{"HEAD", "/readyz", 200, ""},
	} {
		r := a.do(c.method, c.path, "")
		if r.status != c.status || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s = %d, Allow %q; want %d, %q", c.method, c.path, r.status, r.header.Get("Allow"), c.status, c.allow)
		}
		if c.method == "HEAD" && (r.body != "" || r.header.Get("Content-Length") == "") {
			t.Errorf("HEAD %s: body %q, length %q", c.path, r.body, r.header.Get("Content-Length"))
		}
	}
}

// TestNames: whatever servers and tools are called, they have one path, which
// is their encoded name (threats 24).
func TestNames(t *testing.T) {
	names := []string{"with space", "a/b", "..", "what?", "100%", "%2f", "c:d", "ünï", "<script>", "docs", "openapi.json", "system", "healthz", "#", "a+b", "'\"", "."}
	for _, name := range names {
		var tools []map[string]any
		for _, n := range names {
			tools = append(tools, map[string]any{"name": n, "inputSchema": map[string]any{"type": "object"}})
		}
		list, err := json.Marshal(tools)
		if err != nil {
			t.Fatal(err)
		}
		server := name
		if name == "docs" || name == "openapi.json" || name == "healthz" {
			server = "plain" // such servers are refused at start
		}
		a := serve(t, setup{servers: []config.Server{scripted(t, server, string(list), func(w http.ResponseWriter, c rawCall) {
			var p struct{ Name string }
			if err := json.Unmarshal(c.params, &p); err != nil {
				t.Error(err)
			}
			c.answer(w, "result", `{"content":[{"type":"text","text":"called"}],"_meta":{"name":`+quoted(p.Name)+`}}`)
		})}})
		base := "/" + url.PathEscape(server)
		for _, tool := range names {
			a.do("POST", base+"/"+url.PathEscape(tool), "{}", "Accept: application/vnd.mcp.result+json").
				want(t, "tool "+tool+" of "+server, 200, `{"name":`+quoted(tool)+`}`)
		}
		document := a.do("GET", base+"/openapi.json", "")
		document.want(t, "document of "+server, 200, `"openapi"`)
		var d struct {
			Paths   map[string]any
			Servers []struct{ URL string }
		}
		if err := json.Unmarshal([]byte(document.body), &d); err != nil {
			t.Fatal(err)
		}
		for path := range d.Paths {
			a.do("POST", d.Servers[0].URL+path, "{}").want(t, "documented path "+path, 200, `"called"`)
		}
		if len(d.Paths) != len(names) {
			t.Errorf("%d paths for %d tools", len(d.Paths), len(names))
		}
	}
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSpace(b.String())
}

func TestDocumentCaching(t *testing.T) {
	a := serve(t, setup{servers: []config.Server{real(t, "time")}})
	plain := a.do("GET", "/time/openapi.json", "")
	etag := plain.header.Get("ETag")
	if etag == "" || plain.header.Get("Content-Encoding") != "" || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers = %v", plain.header)
	}
	for _, tag := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		if r := a.do("GET", "/time/openapi.json", "", "If-None-Match: "+tag); r.status != 304 || r.body != "" || r.header.Get("ETag") != etag {
			t.Errorf("If-None-Match %s = %d %q", tag, r.status, r.body)
		}
	}
	if r := a.do("GET", "/time/openapi.json", "", `If-None-Match: "other"`); r.status != 200 {
		t.Errorf("another tag = %d", r.status)
	}
	zipped := a.do("GET", "/time/openapi.json", "", "Accept-Encoding: br, gzip;q=0.5")
	in, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(in); err != nil || string(raw) != plain.body {
		t.Errorf("gzip holds something else (%v)", err)
	}
	for _, accept := range []string{"gzip;q=0", "br", "gzip;q=0, *"} {
		if r := a.do("GET", "/time/openapi.json", "", "Accept-Encoding: "+accept); r.header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %s gets %s", accept, r.header.Get("Content-Encoding"))
		}
	}
	a.do("POST", "/time/add_tool", `{"name":"brand_new"}`).want(t, "add_tool", 200, "added")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); a.do("GET", "/time/openapi.json", "", "If-None-Match: "+etag).status != 200; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the document never showed the new tool")
		}
	}
	a.do("POST", "/time/brand_new", "").want(t, "the new tool", 200, "brand_new")
}

func TestCall(t *testing.T) {
	a := serve(t, setup{Options: Options{MaxBody: 1000}, servers: []config.Server{real(t, "s")}})
	for _, c := range []struct {
		name, path, body string
		status           int
		part             string
	}{
		{"text", "/s/echo", `{"message":"x"}`, 200, `"x"`},
		{"text that is JSON", "/s/echo", `{"message":"{\"id\":9007199254740993.0}"}`, 200, `{"id":9007199254740993.0}`},
		{"structured", "/s/structured", ``, 200, `{"ratio":1.0,"id":9007199254740993}`},
		{"null body", "/s/whoami", `null`, 200, `{`},
		{"repair", "/s/add", `{"a":"1","b":2.0}`, 200, `3`},
		{"isError", "/s/fail", `{"message":"the disk is full"}`, 500, `{"detail":{"message":"the disk is full"}}`},
		{"invalid JSON", "/s/echo", `{bad`, 422, `"json_invalid"`},
		{"missing", "/s/echo", `{}`, 422, `{"detail":[{"type":"missing","loc":["body","message"],"msg":"Field required","input":{}}]}`},
		{"no object", "/s/echo", `[1]`, 422, `"loc":["body"]`},
		{"unknown tool", "/s/nope", `{}`, 404, `"message":"Server \"s\" has no tool \"nope\"`},
		{"too large", "/s/echo", `{"message":"` + strings.Repeat("x", 2000) + `"}`, 413, `1000 bytes`},
		{"all kinds", "/s/types", `{}`, 200, `["plain","data:image/png;base64,iVBORw==","data:audio/wav;base64,`},
	} {
		r := a.do("POST", c.path, c.body)
		r.want(t, c.name, c.status, c.part)
		if r.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(r.body)) {
			t.Errorf("%s: %s %s", c.name, r.header.Get("Content-Type"), r.body)
		}
		if r.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", c.name)
		}
	}
	raw := a.do("POST", "/s/fail", `{"message":"x"}`, "Accept: application/vnd.mcp.result+json")
	raw.want(t, "raw result", 200, `"isError":true`)
	if raw.header.Get("Content-Type") != rawResult {
		t.Errorf("raw result is %s", raw.header.Get("Content-Type"))
	}
	if r := a.do("POST", "/s/echo", `{"message":"x"}`, "X-Request-Id: from-the-proxy"); r.header.Get("X-Request-Id") != "from-the-proxy" {
		t.Errorf("X-Request-Id = %q", r.header.Get("X-Request-Id"))
	}
}

// TestUpstreamAnswers: what servers do, and what callers are told.
func TestUpstreamAnswers(t *testing.T) {
	rpc := func(code int) string { return fmt.Sprintf(`{"code":%d,"message":"in words","data":{"n":1e2}}`, code) }
	for _, c := range []struct {
		name string
		call func(http.ResponseWriter, rawCall)
		want int
		part string
	}{
		{"-32700", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(-32700)) }, 400, `{"detail":{"message":"in words","data":{"n":1e2}}}`},
		{"-32600", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(-32600)) }, 400, "in words"},
		{"-32601", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(-32601)) }, 404, "in words"},
		{"-32602", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(-32602)) }, 422, "in words"},
		{"-32603", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(-32603)) }, 500, "in words"},
		{"4242", func(w http.ResponseWriter, c rawCall) { c.answer(w, "error", rpc(4242)) }, 500, "in words"},
		{"nothing", func(w http.ResponseWriter, c rawCall) { c.answer(w, "result", `{"content":[]}`) }, 200, "[]"},
		{"unauthorized", func(w http.ResponseWriter, c rawCall) { http.Error(w, "secret words", http.StatusUnauthorized) }, 502, "credentials"},
		{"overloaded", func(w http.ResponseWriter, c rawCall) { http.Error(w, "secret words", http.StatusTooManyRequests) }, 503, "too many"},
		{"crashed", func(http.ResponseWriter, rawCall) { panic(http.ErrAbortHandler) }, 502, "lost during the call"},
		{"server error", func(w http.ResponseWriter, c rawCall) { http.Error(w, "secret words", 500) }, 502, "status 500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := serve(t, setup{servers: []config.Server{scripted(t, "s", oneTool, c.call)}})
			r := a.do("POST", "/s/t", `{}`)
			r.want(t, "call", c.want, c.part)
			if strings.Contains(r.body, "secret words") {
				t.Errorf("the server's own page got out: %s", r.body)
			}
			if c.want == 503 && r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	slow := real(t, "s")
	slow.Timeout = time.Second // in which the call reaches the server on any machine
	a := serve(t, setup{servers: []config.Server{slow}})
	a.do("POST", "/s/slow", `{"ms":3600000}`).want(t, "slow", 504, "did not answer in time")
}

// TestFailedServer: a server that cannot be had costs its own callers only,
// and tells them when to come back.
func TestFailedServer(t *testing.T) {
	a := serve(t, setup{unready: true, servers: []config.Server{
		{Name: "broken", Transport: config.Stdio, Command: "/no/such/program-here"}, real(t, "good")}})
	<-a.servers[0].Tried()
	<-a.servers[1].Tried()
	r := a.do("POST", "/broken/echo", `{}`)
	r.want(t, "a call", 503, "not available")
	if r.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", r.header.Get("Retry-After"))
	}
	a.do("POST", "/good/echo", `{"message":"x"}`).want(t, "the server beside", 200, `"x"`)
	a.do("GET", "/broken/openapi.json", "").want(t, "its document", 200, `"paths":{}`)
	ready := a.do("GET", "/readyz", "")
	ready.want(t, "readyz", 200, `"tools":0,"reason":"its command cannot be started"`)
	if strings.Contains(ready.body, "/no/such") {
		t.Errorf("readyz tells strangers about the inside: %s", ready.body)
	}
	a.do("GET", "/", "").want(t, "index", 200, "its command cannot be started")
	if body := a.do("GET", "/openapi.json", "").body; strings.Contains(body, "broken") {
		t.Errorf("the root document lists a server without tools: %s", body)
	}
}

// TestStartingServer: callers are not kept for longer than they would wait.
func TestStartingServer(t *testing.T) {
	t.Parallel()
	a := serve(t, setup{unready: true, upstream: upstream.Options{ConnectTimeout: time.Minute}, servers: []config.Server{
		{Name: "late", Transport: config.Stdio, Command: mcptest.BuildStdio(t), Args: []string{"--ignore-initialize"}}}})
	a.do("GET", "/readyz", "").want(t, "readyz", 503, `"ready":false,"servers":{"late":{"state":"starting"`)
	r := a.do("POST", "/late/echo", `{}`)
	r.want(t, "a call", 503, "still starting")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestDisconnect: a caller that goes away cancels the call upstream.
func TestDisconnect(t *testing.T) {
	called, gone := make(chan struct{}), make(chan struct{})
	a := serve(t, setup{servers: []config.Server{scripted(t, "s", oneTool, func(_ http.ResponseWriter, c rawCall) {
		close(called)
		<-c.gone
		close(gone)
	})}})
	ctx, leave := context.WithCancel(soon(t))
	req, err := http.NewRequestWithContext(ctx, "POST", a.url+"/s/t", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	<-called
	leave()
	if err := <-done; err == nil {
		t.Error("an answer came")
	}
	select {
	case <-gone:
	case <-soon(t).Done():
		t.Fatal("the call went on upstream")
	}
}

// TestForwarding: callers' headers go along only where the configuration says
// so (threats 13).
func TestForwarding(t *testing.T) {
	plain, open, named := real(t, "plain"), real(t, "open"), real(t, "named")
	open.Forward = config.Forwarding{Enabled: true}
	named.Forward = config.Forwarding{Enabled: true, Whitelist: []string{"X-Tenant", "Authorization"}}
	a := serve(t, setup{servers: []config.Server{plain, open, named}})
	sent := []string{"X-Tenant: blue", "Authorization: Bearer mine", "Cookie: token=mine", "X-OpenWebUI-User-Id: me"}
	for server, want := range map[string][]string{"plain": nil, "open": {"X-Tenant"}, "named": {"X-Tenant", "Authorization"}} {
		var got http.Header
		if err := json.Unmarshal([]byte(a.do("POST", "/"+server+"/whoami", "", sent...).body), &got); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, name := range []string{"X-Tenant", "Authorization", "Cookie", "X-Openwebui-User-Id"} {
			if got.Get(name) != "" {
				seen++
			}
		}
		for _, name := range want {
			if got.Get(name) == "" {
				t.Errorf("%s: %s was not forwarded", server, name)
			}
		}
		if seen != len(want) {
			t.Errorf("%s: forwarded %v", server, got)
		}
	}
}

// TestInstructions: Open WebUI's direct connections fetch them in two steps.
func TestInstructions(t *testing.T) {
	a := serve(t, setup{servers: []config.Server{real(t, "silent"), scripted(t, "s", oneTool, nil)}})
	a.do("GET", "/s/api/config", "").want(t, "features", 200, `{"features":{"system":true}}`)
	a.do("GET", "/s/system", "").want(t, "prompt", 200, `{"prompt":"Be brief."}`)
	a.do("GET", "/silent/api/config", "").want(t, "features", 200, `{"features":{"system":false}}`)
}
