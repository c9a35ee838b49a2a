package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcpo/internal/config"
)

// TestSlowBody: a body that does not come holds a connection for so long and
// no longer, with and without a key, read or not (threats 30).
func TestSlowBody(t *testing.T) {
	a := serve(t, setup{Options: Options{Key: testKey, BodyTime: 50 * time.Millisecond, Loopback: true}, servers: []config.Server{real(t, "s")}})
	for _, c := range []struct {
		name, head string
		status     int
	}{
		{"small", "POST /s/echo HTTP/1.1\r\nAuthorization: Bearer top-secret\r\nContent-Length: 20", 408},
		{"big", "POST /s/echo HTTP/1.1\r\nAuthorization: Bearer top-secret\r\nContent-Length: 2000000", 408},
		{"chunked", "POST /s/echo HTTP/1.1\r\nAuthorization: Bearer top-secret\r\nTransfer-Encoding: chunked", 408},
		{"no key", "POST /s/echo HTTP/1.1\r\nContent-Length: 20", 401},
		{"another host", "POST /s/echo HTTP/1.1\r\nX: Y\r\nContent-Length: 20\r\nHost: evil.example", 403},
		{"preflight", "OPTIONS / HTTP/1.1\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\nContent-Length: 20", 200},
		{"nothing there", "POST /nope HTTP/1.1\r\nContent-Length: 20", 404},
		{"a page", "GET /s/openapi.json HTTP/1.1\r\nContent-Length: 20", 200},
		{"larger than allowed", "POST /s/echo HTTP/1.1\r\nAuthorization: Bearer top-secret\r\nContent-Length: 99999999", 413},
	} {
		conn := dial(t, a)
		if !strings.Contains(c.head, "Host: ") {
			c.head += "\r\nHost: localhost"
		}
		if _, err := fmt.Fprintf(conn, "%s\r\n\r\n{", c.head); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != c.status {
			t.Errorf("%s = %d, want %d", c.name, resp.StatusCode, c.status)
		}
		if _, err := in.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection stays open (%v)", c.name, err)
		}
	}
}

func dial(t *testing.T, a *api) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(hurry)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestConnectionIsKept: the guard against slow bodies costs honest callers
// nothing.
func TestConnectionIsKept(t *testing.T) {
	a := serve(t, setup{servers: []config.Server{real(t, "s")}})
	conn := dial(t, a)
	in := bufio.NewReader(conn)
	for _, body := range []string{`{"message":"a"}`, `{"message":"b"}`, `{bad`, ``, `{"message":"c"}`} {
		if _, err := fmt.Fprintf(conn, "POST /s/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _ = io.Copy(io.Discard, resp.Body); resp.Close {
			t.Errorf("the answer to %q ends the connection", body)
		}
	}
}

// TestHugeBody: bodies are cut at --max-body, whether they tell their size or not.
func TestHugeBody(t *testing.T) {
	a := serve(t, setup{Options: Options{MaxBody: 1000}, servers: []config.Server{real(t, "s")}})
	if status := a.raw(t, "POST /s/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"); status != 413 {
		t.Errorf("announced = %d", status)
	}
	chunk := strings.Repeat("x", 1000)
	if status := a.raw(t, "POST /s/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"+chunk+"\r\n1\r\nx\r\n"); status != 413 {
		t.Errorf("chunked = %d", status)
	}
	exact := `{"message":"` + strings.Repeat("x", 1000-14) + `"}`
	a.do("POST", "/s/echo", exact).want(t, "exactly as much as allowed", 200, "xxx")
}

// TestBytes: what was checked is byte for byte what is sent, and what could be
// read in two ways is not sent (threats 23).
func TestBytes(t *testing.T) {
	var mu sync.Mutex
	var sent []string
	const tools = `[{"name":"t","inputSchema":{"type":"object","properties":{"user":{"type":"string"},"n":{"type":"integer"}},"required":["user"]}}]`
	a := serve(t, setup{servers: []config.Server{scripted(t, "s", tools, func(w http.ResponseWriter, c rawCall) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, string(c.params))
		c.answer(w, "result", `{"content":[]}`)
	})}})
	for body, ok := range map[string]bool{
		`{"user":"me","n":123456789012345678901234567890}`: true,
		`{ "n" : 1e2,  "user":"me" , "unknown":[1.0,-0]}`:  true,
		`{"user":"me","User":"you"}`:                       true, // two keys, both sent as they are
		"{\"u\u017fer\":\"you\",\"user\":\"me\"}":          true,
		`{"USER":"me"}`:                                   false, // is not the property that is required
		"{\"u\u017fer\":\"me\"}":                          false,
		`{"user":"me","user":"you"}`:                      false,
		`{"user":"me","\u0075ser":"you"}`:                 false,
		`{"user":"me"} {"user":"you"}`:                    false,
		`{"user":"me",}`:                                  false,
		`{"user":"me","n":NaN}`:                           false,
		"{\"user\":\"m\xffe\"}":                           false,
		`{"user":"me","n":` + strings.Repeat("[", 100000): false,
		"\ufeff" + `{"user":"me"}`:                        false,
	} {
		mu.Lock()
		sent = nil
		mu.Unlock()
		r := a.do("POST", "/s/t", body)
		mu.Lock()
		if ok && (r.status != 200 || len(sent) != 1 || !strings.Contains(sent[0], body)) {
			t.Errorf("%.60s = %d %s, sent %q", body, r.status, r.body, sent)
		}
		if !ok && (r.status != 422 || len(sent) != 0) {
			t.Errorf("%.60s = %d %.200s, sent %q", body, r.status, r.body, sent)
		}
		mu.Unlock()
	}
}

// TestPaths: odd paths lead nowhere or to the one thing that they name.
func TestPaths(t *testing.T) {
	a := serve(t, setup{Options: Options{RootPath: "/api"}, servers: []config.Server{real(t, "s")}})
	for path, status := range map[string]int{
		"/s/echo%00": 404, "/s%00/echo": 404, "/s%2fecho": 404, "/s/ec%68o": 200, "/%73/echo": 200, "//s/echo": 404, "/s//echo": 404,
		"/s/../s/echo": 404, "/s/%2e%2e/s/echo": 404, "/s/./echo": 404, "/S/echo": 404, "/s/ECHO": 404, "/s/echo/x": 404, "/s/echo%2f": 404,
		"/apis/echo": 404, "/api/api/s/echo": 404, "/s/echo;x=1": 404, "/s/echo?a=b": 200, "/s/echo%3fa=b": 404, "/s/echo%0d%0aX: y": 400,
		"/docs/assets/../../etc/passwd": 405, "/s/\\echo": 404,
	} {
		if got := a.raw(t, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n"+`{"message":"x"}`); got != status {
			t.Errorf("POST %q = %d, want %d", path, got, status)
		}
	}
	for _, path := range []string{"/docs/assets/..%2f..%2fhandler.go", "/docs/assets/%2e%2e/pages.go", "/docs/assets/", "/docs/assets//etc/passwd", "/s/docs/assets/../x"} {
		if got := a.raw(t, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != 404 {
			t.Errorf("GET %q = %d, want 404", path, got)
		}
	}
	for _, method := range []string{"post", "GET\tPOST", "PATCH", "CONNECT", "POSTT"} {
		if got := a.raw(t, method+" /s/echo HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: POST\r\nContent-Length: 0\r\n\r\n"); got != 405 && got != 400 {
			t.Errorf("%q = %d, want 405 or 400", method, got)
		}
	}
}

// TestRequestSmuggling: a request whose end is not certain is refused.
func TestRequestSmuggling(t *testing.T) {
	a := serve(t, setup{servers: []config.Server{real(t, "s")}})
	for _, head := range []string{
		"Content-Length: 5\r\nContent-Length: 6", "Content-Length: -1", "Content-Length: +5", "Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: xchunked", "Host: evil.example", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "X y: z", "X: a\x00b",
	} {
		got := a.raw(t, "POST /s/echo HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n\r\n")
		if got != 400 && got != 501 {
			t.Errorf("%q = %d", head, got)
		}
	}
}

// TestLog: names from outside cannot forge lines, and neither arguments nor
// results nor keys are written (threats 31).
func TestLog(t *testing.T) {
	const private = "the-private-argument"
	a := serve(t, setup{Options: Options{Key: testKey}, servers: []config.Server{real(t, "s")}})
	key := "Authorization: Bearer " + testKey
	forged := "\nlevel=ERROR msg=forged\x1b[31m\u202e"
	a.do("POST", "/s/"+url.PathEscape(forged), "{}", key)
	a.do("POST", "/s/"+strings.Repeat("y", 20000), "{}", key)
	a.do("POST", "/s/echo", `{"message":"`+private+`"}`, key, `X-Request-Id: id" msg=forged`)
	a.do("POST", "/s/echo", `{"message":"`+private+`"}`, key, "X-Request-Id: one", "X-Request-Id: two")
	a.do("POST", "/s/echo", `{"message":"`+private+`"}`, key, "X-Request-Id: "+strings.Repeat("z", 65))
	a.do("POST", "/s/echo", `{"message":["`+private+`"]}`, key)
	a.do("POST", "/s/fail", `{"message":"`+private+`"}`, key)
	a.do("POST", "/s/echo", `{`+private, key)
	a.do("POST", "/s/echo", `{}`, "Authorization: Bearer a-wrong-"+private)
	text := a.log.String()
	calls := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "time=") || len(line) > 1000 {
			t.Errorf("a line that is none or too long: %.200q", line)
		}
		if strings.Contains(line, "msg=call") {
			calls++
		}
	}
	if calls != 9 {
		t.Errorf("%d lines for 9 calls:\n%s", calls, text)
	}
	for _, never := range []string{private, testKey, "\x1b", "\u202e", "zzzz", "one", "\nlevel="} {
		if strings.Contains(text, never) {
			t.Errorf("the log holds %q:\n%.3000s", never, text)
		}
	}
}

// TestDebugLog: at debug there may be much in the log, but no key.
func TestDebugLog(t *testing.T) {
	a := serve(t, setup{debug: true, Options: Options{Key: testKey}, servers: []config.Server{real(t, "s")}})
	a.do("POST", "/s/echo", `{"message":"x"}`, "Authorization: Bearer "+testKey).want(t, "echo", 200, "x")
	a.do("POST", "/s/echo", `{"message":"x"}`, "Authorization: "+basic).want(t, "echo", 200, "x")
	a.do("POST", "/s/echo", `{}`, "Authorization: Bearer wrong-key").want(t, "echo", 403, "")
	for _, never := range []string{testKey, "wrong-key", strings.TrimPrefix(basic, "Basic ")} {
		if text := a.log.String(); strings.Contains(text, never) {
			t.Errorf("the log holds %q:\n%s", never, text)
		}
	}
}

// TestHostilePages: names and descriptions are text on pages, and pages say
// what they may load.
func TestHostilePages(t *testing.T) {
	list, err := json.Marshal([]any{map[string]any{"name": hostile, "description": hostile, "inputSchema": map[string]any{"type": "object"}}})
	if err != nil {
		t.Fatal(err)
	}
	a := serve(t, setup{Options: Options{Name: hostile, Description: hostile}, servers: []config.Server{scripted(t, hostile, string(list), nil)}})
	for _, path := range []string{"/", "/docs", "/" + url.PathEscape(hostile) + "/docs"} {
		r := a.do("GET", path, "")
		if r.status != 200 || strings.Contains(r.body, "<script>document") || strings.Contains(r.body, "<img src=x") || strings.Contains(r.body, `href="javascript:`) {
			t.Errorf("%s = %d %s", path, r.status, r.body)
		}
		policy := r.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	for _, path := range []string{"/<script>x</script>", "/s/<script>x</script>"} {
		r := a.do("GET", path, "")
		if r.header.Get("Content-Type") != "application/json" || strings.Contains(r.body, "<script>") {
			t.Errorf("%s = %s %s", path, r.header.Get("Content-Type"), r.body)
		}
	}
}
