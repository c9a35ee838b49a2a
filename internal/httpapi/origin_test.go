package httpapi

import (
	"testing"

	"mcpo/internal/config"
)

// TestForeignPages: on a loopback listener without a key, a page from elsewhere
// calls nothing unless its origin is named (threats 29).
func TestForeignPages(t *testing.T) {
	servers := []config.Server{real(t, "s")}
	open := serve(t, setup{Options: Options{Loopback: true, CORSOrigins: []string{"*", "https://named.example"}, PublicURL: "https://tools.example/x"}, servers: servers})
	keyed := serve(t, setup{Options: Options{Loopback: true, CORSOrigins: []string{"*"}, Key: "k"}, servers: servers})
	for origin, ok := range map[string]bool{
		"https://evil.example": false, "null": false, "http://localhost.evil.example": false, "file://": false,
		"https://tools.example.evil.example": false, "https://named.example.evil.example": false,
		"https://named.example": true, "https://tools.example": true, "http://localhost:3000": true, "http://127.0.0.1": true, "http://[::1]:8080": true,
	} {
		for _, extra := range [][]string{{"POST", "Content-Type: text/plain"}, {"OPTIONS", "Access-Control-Request-Method: POST"}} {
			r := open.do(extra[0], "/s/echo", `{"message":"x"}`, "Host: localhost", "Origin: "+origin, extra[1])
			if ok && r.status != 200 {
				t.Errorf("%s from %q = %d %s", extra[0], origin, r.status, r.body)
			}
			if !ok {
				r.want(t, extra[0]+" from "+origin, 403, "--cors-allow-origins")
			}
		}
		if r := keyed.do("POST", "/s/echo", `{"message":"x"}`, "Host: localhost", "Origin: "+origin, "Authorization: Bearer k"); r.status != 200 {
			t.Errorf("with the key from %q = %d", origin, r.status)
		}
	}
}
