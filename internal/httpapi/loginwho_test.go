package httpapi

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// nobody fails the test unless a request is refused because it does not say
// whose it is: with a sentence, and without a link.
func nobody(t *testing.T, what string, r reply) {
	t.Helper()
	if r.status != http.StatusUnauthorized || !strings.Contains(r.body, `{"detail":{"message":"`) || strings.Contains(r.body, "ticket=") {
		t.Errorf("%s: %d %s", what, r.status, r.body)
	}
}

// TestPersonAtThisMachine: a program here that says nothing of anybody is that
// of the person here.
func TestPersonAtThisMachine(t *testing.T) {
	d := openDoor(t, doorSetup{beyond: true, Options: Options{CORSOrigins: []string{"*", "https://chat.example"}}})
	port := d.url[strings.LastIndex(d.url, ":"):]
	for name, headers := range map[string][]string{
		"plain":                  nil,
		"by address":             {"Host: 127.0.0.1" + port},
		"by IPv6 address":        {"Host: [::1]" + port},
		"by another name":        {"Host: app.localhost" + port},
		"from our own page":      {"Origin: " + d.url},
		"from a page here":       {"Origin: http://localhost:3000"},
		"from a page that may":   {"Origin: https://chat.example"},
		"with cookies of others": {"Cookie: token=x"},
	} {
		r := d.do("POST", "/notes/whoami", "{}", headers...)
		if got := r.refusal(t); got.Error != "authentication_required" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestNobody: whoever may be somebody else is not the person here, and gets no
// link that would make it so (threats 20).
func TestNobody(t *testing.T) {
	d := openDoor(t, doorSetup{beyond: true})
	for _, header := range []string{
		"Host: tools.example", "Host: 192.0.2.1:8000", "Host: localhost.evil.example",
		"Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: https",
		"Via: 1.1 proxy", "X-Real-Ip: 127.0.0.1", "X-Forwarded-Port: 443", "X-Forwarded-Prefix: /x", "X-Forwarded: for=192.0.2.1", "Forwarded-For: 192.0.2.1",
		"X-Client-Ip: 192.0.2.1", "True-Client-Ip: 192.0.2.1", "Cf-Connecting-Ip: 192.0.2.1", "Cf-Ray: 1", "Cdn-Loop: cdn", "X-Original-Forwarded-For: 192.0.2.1",
		"X-Original-Host: tools.example", "X-Envoy-External-Address: 192.0.2.1", "X-Cluster-Client-Ip: 192.0.2.1", "Fastly-Client-Ip: 192.0.2.1",
		"X-Amzn-Trace-Id: Root=1", "X-Azure-Clientip: 192.0.2.1", "X-Proxyuser-Ip: 192.0.2.1", "Front-End-Https: on",
		"Origin: https://evil.example", "Origin: null", "Authorization: Bearer somebody's", "Authorization: Basic c29tZWJvZHk6eA==", "X-OpenWebUI-User-Id: somebody",
	} {
		nobody(t, header, d.do("POST", "/notes/whoami", "{}", header))
		nobody(t, header, d.do("GET", "/notes/login", "", header))
		d.do("GET", "/notes/login", "", header, "Accept: text/html").want(t, header, 401, "Who are you?")
		nobody(t, header, d.do("GET", "/oauth/notes/status", "", header))
		nobody(t, header, d.do("POST", "/connections/notes/disconnect", "", header))
		nobody(t, header, d.do("GET", "/connections", "", header))
		r := d.do("GET", "/notes/openapi.json", "", header)
		if got := paths(t, r); got != onlyLogin {
			t.Errorf("%s: the document has\n%s", header, got)
		}
	}
	d.empty("nobody")
}

// TestNobodyOverHTTP10: a proxy that is not told to leave a trace, and rewrites
// Host, shows by its version of HTTP only (threats 20). Neither is a request of
// such a one the person here, nor are its tokens believed unverified.
func TestNobodyOverHTTP10(t *testing.T) {
	d := openDoor(t, doorSetup{})
	encode := base64.RawURLEncoding.EncodeToString
	claimed := "Authorization: Bearer " + encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(`{"id":"somebody"}`)) + ".eA"
	d.do("POST", "/notes/whoami", "{}", claimed).refusal(t)
	for what, header := range map[string]string{"no field": "Accept: */*", "a claim": claimed} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST /notes/whoami HTTP/1.0\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n%s\r\nContent-Length: 2\r\n\r\n{}", header); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		nobody(t, what, reply{resp.StatusCode, resp.Header, string(body)})
	}
}

// TestNobodyAfterLogin: what the person here logged in to is closed to others.
func TestNobodyAfterLogin(t *testing.T) {
	d := openDoor(t, doorSetup{beyond: true})
	d.login("notes")
	d.do("POST", "/notes/whoami", "{}").want(t, "the person here", http.StatusOK, "alice")
	for _, header := range []string{"Host: tools.example", "X-Forwarded-For: 192.0.2.1", "Origin: https://evil.example", "Authorization: Bearer x"} {
		nobody(t, header, d.do("POST", "/notes/whoami", "{}", header))
		nobody(t, header, d.do("POST", "/connections/notes/disconnect", "", header))
		if r := d.do("GET", "/oauth/notes/status", "", header); r.status != http.StatusUnauthorized || strings.Contains(r.body, "expires_at") {
			t.Errorf("%s: the status is %d %s", header, r.status, r.body)
		}
	}
	d.do("POST", "/notes/whoami", "{}").want(t, "the person here, after all that", http.StatusOK, "alice")
}

// TestNobodyBehindPublicURL: where people come from elsewhere, a request through
// a proxy that hides itself is not that of the person here (threats 20).
func TestNobodyBehindPublicURL(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{PublicURL: "https://tools.example"}})
	r := d.do("POST", "/notes/whoami", "{}")
	nobody(t, "with a public URL elsewhere", r)
	r.want(t, "with a public URL elsewhere", http.StatusUnauthorized, `\"multi_user\": false`)
}

// TestKeyIsNobody: mcpo's key lets in, and says nothing of who it is. A wrong
// one is refused as everywhere.
func TestKeyIsNobody(t *testing.T) {
	d := openDoor(t, doorSetup{Options: Options{Key: testKey}, beyond: true})
	d.do("POST", "/notes/whoami", "{}").want(t, "without the key", http.StatusUnauthorized, "Missing or invalid Authorization header")
	d.do("POST", "/notes/whoami", "{}", "Authorization: Bearer wrong").want(t, "with a wrong key", http.StatusForbidden, "Invalid API key")
	key := "Authorization: Bearer " + testKey
	d.do("POST", "/notes/whoami", "{}", key).refusal(t)
	nobody(t, "with the key from elsewhere", d.do("POST", "/notes/whoami", "{}", key, "X-Forwarded-For: 192.0.2.1"))
}
