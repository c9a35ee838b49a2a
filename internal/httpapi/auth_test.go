package httpapi

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcpo/internal/config"
)

const testKey = "top-secret"

// basic is "user:top-secret" in Base64, basicWrong "user:wrong".
const basic, basicWrong = "Basic dXNlcjp0b3Atc2VjcmV0", "Basic dXNlcjp3cm9uZw=="

func TestKey(t *testing.T) {
	type answers struct {
		status    int
		detail    string
		challenge string
	}
	const missing = `{"detail":"Missing or invalid Authorization header"}`
	wrong := answers{403, `{"detail":"Invalid API key"}`, ""}
	for _, strict := range []bool{false, true} {
		a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: strict}, servers: []config.Server{real(t, "s")}})
		challenge := "Bearer"
		if strict {
			challenge = `Bearer, Basic realm="mcpo"`
		}
		none := answers{401, missing, challenge}
		ok := answers{200, `"x"`, ""}
		for _, c := range []struct {
			name    string
			headers []string
			want    answers
		}{
			{"none", nil, none},
			{"wrong", []string{"Authorization: Bearer wrong"}, wrong},
			{"a beginning of the key", []string{"Authorization: Bearer top-secre"}, wrong},
			{"right", []string{"Authorization: Bearer top-secret"}, ok},
			{"lower case", []string{"Authorization: bearer top-secret"}, ok},
			{"upper case", []string{"Authorization: BEARER top-secret"}, ok},
			{"space after", []string{"Authorization: Bearer top-secret "}, ok},
			{"no scheme", []string{"Authorization: top-secret"}, none},
			{"no key", []string{"Authorization: Bearer"}, none},
			{"empty", []string{"Authorization: "}, none},
			{"another scheme", []string{"Authorization: Digest top-secret"}, none},
			{"basic", []string{"Authorization: " + basic}, ok},
			{"basic in lower case", []string{"Authorization: " + strings.Replace(basic, "Basic", "basic", 1)}, ok},
			{"basic, wrong", []string{"Authorization: " + basicWrong}, answers{403, `{"detail":"Invalid credentials"}`, ""}},
			{"basic, no Base64", []string{"Authorization: Basic !!!"}, answers{401, `{"detail":"Invalid Basic Authentication format"}`, challenge}},
			{"basic, no colon", []string{"Authorization: Basic dG9wLXNlY3JldA=="}, answers{401, `{"detail":"Invalid Basic Authentication format"}`, challenge}},
			{"two headers", []string{"Authorization: Bearer top-secret", "Authorization: Bearer top-secret"}, none},
			{"two headers, one wrong", []string{"Authorization: Bearer wrong", "Authorization: Bearer top-secret"}, none},
			{"another header", []string{"X-API-Key: top-secret"}, none},
			{"cookie", []string{"Cookie: Authorization=Bearer top-secret"}, none},
		} {
			r := a.do("POST", "/s/echo?api_key=top-secret", `{"message":"x"}`, c.headers...)
			if got := (answers{r.status, r.body, strings.Join(r.header.Values("WWW-Authenticate"), ", ")}); got != c.want {
				t.Errorf("strict %v, %s = %+v, want %+v", strict, c.name, got, c.want)
			}
		}
		// The key is looked at before the body, which mcpo did the other way around.
		for _, body := range []string{"{bad", "{}", strings.Repeat("x", 8<<10)} {
			a.do("POST", "/s/echo", body, "Authorization: Bearer wrong").want(t, "wrong key, bad body", 403, wrong.detail)
		}
		a.do("POST", "/s/nope", "{}").want(t, "unknown tool without the key", 401, missing)
	}
}

// TestStrict shows what is open with and without --strict-auth.
func TestStrict(t *testing.T) {
	paths := []string{"/", "/docs", "/redoc", "/openapi.json", "/docs/assets/swagger-ui.css", "/s", "/s/docs", "/s/openapi.json", "/s/system", "/s/api/config"}
	open := serve(t, setup{Options: Options{Key: testKey}, servers: []config.Server{real(t, "s")}})
	strict := serve(t, setup{Options: Options{Key: testKey, StrictAuth: true}, servers: []config.Server{real(t, "s")}})
	for _, path := range paths {
		open.do("GET", path, "").want(t, path, 200, "")
		strict.do("GET", path, "").want(t, "strict "+path, 401, "Missing or invalid Authorization header")
		strict.do("GET", path, "", "Authorization: Bearer "+testKey).want(t, "strict with the key "+path, 200, "")
		strict.do("GET", path, "", "Authorization: "+basic).want(t, "strict with Basic "+path, 200, "")
		strict.do("GET", path, "", "Authorization: "+basicWrong).want(t, "strict with wrong Basic "+path, 403, "Invalid credentials")
	}
	for _, path := range []string{"/nope", "/s/nope", "/s/echo"} {
		strict.do("GET", path, "").want(t, "strict "+path, 401, "")
	}
	strict.do("GET", "/s/echo", "", "Authorization: Bearer "+testKey).want(t, "strict, wrong method", 405, "POST")
	strict.do("OPTIONS", "/s/echo", "").want(t, "strict OPTIONS", 405, "")
	for _, path := range []string{"/healthz", "/readyz"} {
		strict.do("GET", path, "").want(t, "strict "+path, 200, "")
	}
	document := open.do("GET", "/s/openapi.json", "").body
	for _, part := range []string{`"HTTPBearer":{"type":"http","scheme":"bearer"}`, `"security":[{"HTTPBearer":[]}]`} {
		if !strings.Contains(document, part) {
			t.Errorf("the document does not hold %s", part)
		}
	}
}

// TestBasicFromElsewhere: a browser that was told the key does not lend it to
// every page (threats 29).
func TestBasicFromElsewhere(t *testing.T) {
	a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: true, CORSOrigins: []string{"*", page}}, servers: []config.Server{real(t, "s")}})
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"no page", nil, 200},
		{"own page", []string{"Origin: " + a.url, "Sec-Fetch-Site: same-origin"}, 200},
		{"own page behind a proxy", []string{"Origin: https://tools.example", "Sec-Fetch-Site: same-origin"}, 200},
		{"own page in an old browser", []string{"Origin: " + a.url}, 200},
		{"a page that is named", []string{"Origin: " + page, "Sec-Fetch-Site: cross-site"}, 200},
		{"another page", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another page in an old browser", []string{"Origin: https://evil.example"}, 403},
		{"a sister site", []string{"Origin: http://other.localhost", "Sec-Fetch-Site: same-site"}, 403},
		{"a frame without origin", []string{"Origin: null"}, 403},
		{"another page, with a cookie", []string{"Origin: https://evil.example", "Cookie: a=b"}, 403},
	} {
		a.do("POST", "/s/echo", `{"message":"x"}`, append(c.headers, "Authorization: "+basic, "Content-Type: text/plain")...).want(t, c.name, c.status, "")
		a.do("POST", "/s/echo", `{"message":"x"}`, append(c.headers, "Authorization: Bearer "+testKey)...).want(t, "Bearer, "+c.name, 200, "")
		a.do("GET", "/s/openapi.json", "", append(c.headers, "Authorization: "+basic)...).want(t, "document, "+c.name, c.status, "")
	}
	a.do("GET", "/s/docs", "", "Authorization: "+basic, "Sec-Fetch-Site: cross-site").want(t, "a link from elsewhere", 200, "")
}

// TestNoKey: an empty key is none, with --strict-auth too.
func TestNoKey(t *testing.T) {
	a := serve(t, setup{Options: Options{StrictAuth: true}, servers: []config.Server{real(t, "s")}})
	a.do("POST", "/s/echo", `{"message":"x"}`).want(t, "no key", 200, `"x"`)
	a.do("POST", "/s/echo", `{"message":"x"}`, "Authorization: Bearer anything").want(t, "some key", 200, `"x"`)
	a.do("GET", "/openapi.json", "").want(t, "document", 200, "openapi")
}

// TestKeyBeforeBody: who has no key is told so before the body is sent.
func TestKeyBeforeBody(t *testing.T) {
	for _, strict := range []bool{false, true} {
		a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: strict}, servers: []config.Server{real(t, "s")}})
		for _, head := range []string{"Content-Length: 10", "Content-Length: 999999999", "Transfer-Encoding: chunked"} {
			status := a.raw(t, "POST /s/echo HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n\r\n")
			if status != http.StatusUnauthorized {
				t.Errorf("strict %v, %s = %d", strict, head, status)
			}
		}
	}
}

// raw sends bytes and gives the status of the answer; the sending side stays
// open.
func (a *api) raw(t *testing.T, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hurry)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%.60q: %v", request, err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
