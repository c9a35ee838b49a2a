package oauthtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

// site serves pages by path.
func site(t *testing.T, pages map[string]http.HandlerFunc) string {
	mux := http.NewServeMux()
	for path, h := range pages {
		mux.HandleFunc(path, h)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func page(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// seen answers with what a form brought.
func seen(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	c, err := r.Cookie("c")
	if err != nil {
		c = &http.Cookie{Value: "no cookie"}
	}
	fmt.Fprint(w, r.Method, " ", r.Form.Encode(), " ", r.Header.Get("Origin"), " ", r.Header.Get("Sec-Fetch-Site"), " ", c.Value)
}

const oneButton = `<form method=post action=/seen><input type=hidden name=csrf value=1><input name=note value=2>
	<input type=checkbox name=no value=3><button>Continue</button></form>`

func TestBrowsingForms(t *testing.T) {
	for name, c := range map[string]struct {
		page http.HandlerFunc
		want string // with $ for the origin
	}{
		"one button":  {page(oneButton), "POST csrf=1&note=2 $ same-origin 7"},
		"no referrer": {page(oneButton, "Referrer-Policy", "no-referrer"), "POST csrf=1&note=2 null same-origin 7"},
		"get":         {page(`<form action=seen><input type=submit name=a value=b></form>`), "GET a=b  same-origin 7"},
		"allowed":     {page(oneButton, "Content-Security-Policy", "form-action 'self'"), "POST csrf=1&note=2 $ same-origin 7"},
		"two buttons": {page(`<form action=seen><button name=a value=b>b</button><button>c</button></form>`), "<form"},
		"no form":     {page("hello"), "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			origin := site(t, map[string]http.HandlerFunc{"/": c.page, "/seen": seen})
			got, err := oauthtest.Browse(testContext(t), origin+"/", oauthtest.BrowseOptions{Cookies: []*http.Cookie{{Name: "c", Value: "7"}}})
			if err != nil || !strings.HasPrefix(got.Body, strings.ReplaceAll(c.want, "$", origin)) {
				t.Errorf("got %d %q, %v", got.Status, got.Body, err)
			}
		})
	}
}

func TestBrowsersRefuse(t *testing.T) {
	there := site(t, map[string]http.HandlerFunc{"/seen": seen})
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusSeeOther) }
	}
	for name, c := range map[string]struct {
		policy, to string
		want       string // of the error, "" for none
	}{
		"a redirect that form-action does not list": {"form-action 'self'", there + "/seen", "form-action"},
		"a redirect that it lists":                  {"default-src 'none'; form-action 'self' " + there, there + "/seen", ""},
		"no scheme of the web":                      {"", "javascript:alert(1)", "nothing to browse"},
		"no end":                                    {"", "/seen", "no end"},
	} {
		t.Run(name, func(t *testing.T) {
			origin := site(t, map[string]http.HandlerFunc{"/": page(oneButton, "Content-Security-Policy", c.policy), "/seen": redirect(c.to)})
			_, err := oauthtest.Browse(testContext(t), origin+"/", oauthtest.BrowseOptions{})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBrowsingToNobody(t *testing.T) {
	p := visit(t, oauthtest.Options{Clients: []oauthtest.Client{{ID: "by-hand"}}})
	gone := httptest.NewServer(nil)
	gone.Close()
	p.id, p.redirect = "by-hand", gone.URL+"/callback"
	for _, stop := range []bool{false, true} {
		got, err := oauthtest.Browse(testContext(t), p.authorizeURL(nil), oauthtest.BrowseOptions{StopBefore: stop})
		if err != nil || got.Status != 0 || !strings.HasPrefix(got.URL, p.redirect+"?code=") {
			t.Errorf("ended at %q with %d, %v", got.URL, got.Status, err)
		}
	}
}
