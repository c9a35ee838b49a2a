package httpapi

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcpo/internal/config"
)

const page = "https://webui.example"

// cors picks the headers that matter to a page.
func cors(h http.Header) map[string]string {
	got := map[string]string{}
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Headers", "Access-Control-Max-Age", "Access-Control-Expose-Headers"} {
		if v := h.Get(name); v != "" {
			got[name[len("Access-Control-"):]] = v
		}
	}
	return got
}

func TestPreflight(t *testing.T) {
	servers := []config.Server{real(t, "s")}
	ask := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,authorization"}
	for _, c := range []struct {
		name    string
		origins []string
		origin  string
		status  int
		body    string
	}{
		{"all", nil, page, 200, "OK"},
		{"one", []string{page}, page, 200, "OK"},
		{"repeated", []string{"https://a.example", page}, page, 200, "OK"},
		{"comma list", []string{"https://a.example, " + page + "/"}, page, 200, "OK"},
		{"another", []string{"https://a.example"}, page, 400, "Disallowed CORS origin"},
		{"a suffix", []string{page}, page + ".evil.example", 400, "Disallowed CORS origin"},
		{"null", []string{page}, "null", 400, "Disallowed CORS origin"},
	} {
		for _, strict := range []bool{false, true} { // a preflight carries no key
			a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: strict, CORSOrigins: c.origins}, servers: servers})
			r := a.do("OPTIONS", "/s/echo", "", append(ask, "Origin: "+c.origin)...)
			r.want(t, c.name, c.status, c.body)
			want := map[string]string{"Allow-Credentials": "true", "Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
				"Allow-Headers": "content-type,authorization", "Max-Age": "600"}
			if c.status == 200 {
				want["Allow-Origin"] = c.origin
			}
			if diff := cmp.Diff(want, cors(r.header)); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
			if vary := r.header.Values("Vary"); len(vary) != 1 || vary[0] != "Origin" {
				t.Errorf("%s: Vary %q", c.name, vary)
			}
		}
	}
	a := serve(t, setup{servers: servers})
	r := a.do("OPTIONS", "/s/echo", "", "Origin: "+page, "Access-Control-Request-Method: BREW")
	r.want(t, "a method that is none", 400, "Disallowed CORS method")
	a.do("OPTIONS", "/s/echo", "", "Origin: "+page).want(t, "OPTIONS that is no preflight", 405, "POST")
}

// TestCORSAnswers: refusals can be read by the page too.
func TestCORSAnswers(t *testing.T) {
	servers := []config.Server{real(t, "s")}
	const expose = "Content-Disposition, Location"
	all := map[string]string{"Allow-Origin": "*", "Allow-Credentials": "true", "Expose-Headers": expose}
	named := map[string]string{"Allow-Origin": page, "Allow-Credentials": "true", "Expose-Headers": expose}
	unnamed := map[string]string{"Allow-Credentials": "true", "Expose-Headers": expose}
	for _, strict := range []bool{false, true} {
		for _, c := range []struct {
			name    string
			origins []string
			headers []string
			want    map[string]string
		}{
			{"all", nil, []string{"Origin: " + page}, all},
			{"all with cookies", nil, []string{"Origin: " + page, "Cookie: a=b"}, named},
			{"named", []string{page}, []string{"Origin: " + page}, named},
			{"another", []string{"https://a.example"}, []string{"Origin: " + page}, unnamed},
			{"no page", nil, nil, map[string]string{}},
		} {
			a := serve(t, setup{Options: Options{Key: testKey, StrictAuth: strict, CORSOrigins: c.origins}, servers: servers})
			for key, status := range map[string]int{"": 401, "Bearer wrong": 403, "Bearer " + testKey: 200} {
				r := a.do("POST", "/s/echo", `{"message":"x"}`, append(c.headers, "Authorization: "+key)...)
				r.want(t, c.name, status, "")
				if diff := cmp.Diff(c.want, cors(r.header)); diff != "" {
					t.Errorf("strict %v, %s, %d: %s", strict, c.name, status, diff)
				}
			}
			for path, status := range map[string]int{"/nope": 404, "/s/echo": 405} {
				r := a.do("GET", path, "", append(c.headers, "Authorization: Bearer "+testKey)...)
				r.want(t, path, status, "")
				if diff := cmp.Diff(c.want, cors(r.header)); diff != "" {
					t.Errorf("strict %v, %s, %s: %s", strict, c.name, path, diff)
				}
			}
		}
	}
}
