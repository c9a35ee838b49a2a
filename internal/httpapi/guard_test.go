package httpapi

import (
	"testing"

	"mcpo/internal/config"
)

// TestRebinding: a name that was pointed at this machine after its page was
// loaded opens nothing (threats 29).
func TestRebinding(t *testing.T) {
	servers := []config.Server{real(t, "s")}
	local := serve(t, setup{Options: Options{Loopback: true, PublicURL: "https://Tools.example/mcpo"}, servers: servers})
	public := serve(t, setup{servers: servers})
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:8000": true, "LOCALHOST": true, "localhost.": true, "app.localhost:8000": true,
		"127.0.0.1": true, "127.0.0.1:8000": true, "127.9.9.9": true, "[::1]": true, "[::1]:8000": true, "[::ffff:127.0.0.1]:80": true,
		"tools.example": true, "TOOLS.example:443": true,
		"evil.example": false, "evil.example:8000": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"notlocalhost": false, "192.168.1.1": false, "0.0.0.0": false, "0.0.0.0:8000": false, "[::]": false, "2130706433": false, "0x7f.1": false, "evil.tools.example": false,
	} {
		for _, request := range [][2]string{{"POST", "/s/echo"}, {"GET", "/openapi.json"}, {"GET", "/"}, {"OPTIONS", "/s/echo"}} {
			preflight := []string{"Host: " + host, "Origin: http://" + host}
			if request[0] == "OPTIONS" {
				preflight = append(preflight, "Access-Control-Request-Method: POST")
			}
			r := local.do(request[0], request[1], `{"message":"x"}`, preflight...)
			if ok && r.status != 200 {
				t.Errorf("%s as %q = %d %s", request, host, r.status, r.body)
			}
			if !ok {
				r.want(t, "as "+host, 403, "--public-url")
				if len(cors(r.header)) != 0 {
					t.Errorf("as %q a page may read the answer: %v", host, cors(r.header))
				}
			}
			if r := public.do(request[0], request[1], `{"message":"x"}`, preflight...); r.status != 200 {
				t.Errorf("beyond loopback %s as %q = %d", request, host, r.status)
			}
		}
	}
}
