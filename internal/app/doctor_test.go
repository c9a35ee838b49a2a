package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"mcpo/internal/oauth"
	"mcpo/internal/oauthtest"
)

// askDoctor gives what mcpo doctor writes about a server at a URL, and its exit
// status.
func askDoctor(t *testing.T, url string) (text string, status int) {
	t.Helper()
	return doctorSays(t, Options{ServerType: "streamable-http", Command: []string{url}}, url)
}

func doctorSays(t *testing.T, o Options, target string) (text string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hurry)
	defer cancel()
	o.Port, o.Log = 8000, slog.New(slog.DiscardHandler)
	var b bytes.Buffer
	err := Doctor(ctx, o, target, &b)
	exit, ok := errors.AsType[*ExitError](err)
	switch {
	case err == nil:
		return b.String(), 0
	case ok && exit.Err == nil:
		return b.String(), exit.Code
	}
	t.Fatalf("Doctor = %v", err)
	return "", 0
}

// TestDoctorOfAGoodServer holds that nothing is wrong with one, that the block
// is such as can be pasted, and that looking leaves nothing behind.
func TestDoctorOfAGoodServer(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{SeparateOrigin: true, OfflineAccess: true})
	text, status := askDoctor(t, s.MCP)
	if status != 0 || strings.Contains(text, "WRONG") || strings.Contains(text, "missing") {
		t.Errorf("exit %d, and:\n%s", status, text)
	}
	for _, want := range []string{"answers 401", "dynamic (RFC 7591)", "S256", "mcp offline_access", "http://localhost:3030/callback", "A login can work.",
		fmt.Sprintf("  \"oauth\": {\n    \"server_url\": %q\n  }\n", s.Issuer)} {
		if !strings.Contains(text, want) {
			t.Errorf("the report has no %q:\n%s", want, text)
		}
	}
	if s.Requests("register")+s.Requests("authorize")+s.Requests("consent")+len(s.Tokens()) > 0 {
		t.Error("looking has begun a login or registered")
	}
}

// TestDoctorOfATroubledServer has one thing wrong at a time.
func TestDoctorOfATroubledServer(t *testing.T) {
	html := oauthtest.Answer{Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}}
	for name, c := range map[string]struct {
		o      oauthtest.Options
		status int
		say    string // a pattern
	}{
		"no challenge":         {oauthtest.Options{NoChallenge: true}, 0, `missing +challenge`},
		"bare challenge":       {oauthtest.Options{BareChallenge: true}, 0, `missing +challenge`},
		"challenge that lies":  {oauthtest.Options{ChallengeMetadata: "http://127.0.0.1:1/x"}, 1, `WRONG +resource metadata .*\n.* -> nobody listens there`},
		"no resource metadata": {oauthtest.Options{NoResourceMetadata: true}, 0, `missing +resource metadata`},
		"another resource":     {oauthtest.Options{Resource: map[string]any{"resource": "http://other.example/mcp"}}, 1, `WRONG +resource metadata .*"http://other.example/mcp".*\n.* -> .*"url"`},
		"names nobody":         {oauthtest.Options{Resource: map[string]any{"authorization_servers": nil}}, 0, `missing +authorization server +the resource metadata names none`},
		"metadata in trouble":  {oauthtest.Options{Instead: map[string]oauthtest.Answer{"metadata": {Status: 503}}}, 1, `WRONG +metadata .*503`},
		"no metadata":          {oauthtest.Options{Metadata: oauthtest.Nowhere}, 0, `missing +metadata +the endpoints are guessed`},
		"pages for everything": {oauthtest.Options{Instead: map[string]oauthtest.Answer{"metadata": html}}, 1, `WRONG +token endpoint +there is none.*\n.* -> .*"server_url"`},
		"another issuer":       {oauthtest.Options{Override: map[string]any{"issuer": "https://other.example"}}, 1, `WRONG +issuer .*"https://other.example".*\n.* -> the server's operator`},
		"no token endpoint":    {oauthtest.Options{Override: map[string]any{"token_endpoint": nil}}, 1, `WRONG +token endpoint +the metadata has no token_endpoint`},
		"http elsewhere":       {oauthtest.Options{Override: map[string]any{"token_endpoint": "http://as.example/token"}}, 1, `WRONG +token endpoint .*not https\n.* -> .*"allow_hosts": \["as.example"\]`},
		"javascript":           {oauthtest.Options{Override: map[string]any{"authorization_endpoint": "javascript:alert(1)"}}, 1, `WRONG +authorization endpoint`},
		"cloud secrets":        {oauthtest.Options{Override: map[string]any{"token_endpoint": "https://169.254.169.254/token"}}, 1, `WRONG +token endpoint .*link-local.*"allow_hosts"`},
		"token endpoint moved": {oauthtest.Options{Redirects: map[string]oauthtest.Redirect{"token": oauthtest.SameOrigin}}, 1, `WRONG +token endpoint +it redirects`},
		"token endpoint ill":   {oauthtest.Options{Instead: map[string]oauthtest.Answer{"token": {Status: 500}}}, 1, `WRONG +token endpoint .*500`},
		"registers nobody":     {oauthtest.Options{NoRegistration: true}, 1, `missing +registration .*\n.* -> register mcpo there by hand, with the redirect URI http://localhost:3030/callback, and write "client_metadata"`},
		"documents only":       {oauthtest.Options{NoRegistration: true, ClientDocuments: true}, 1, `-> register mcpo .*"public_url"`},
		"keys only":            {oauthtest.Options{Override: map[string]any{"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}}, 1, `WRONG +client authentication .*private_key_jwt`},
		"no S256":              {oauthtest.Options{PKCEMethods: []string{"plain"}}, 1, `WRONG +PKCE +it lists only plain .*\n.* -> .*"allow_missing_pkce": true`},
		"no iss":               {oauthtest.Options{Iss: oauthtest.IssNone}, 0, `missing +iss parameter`},
		"no refresh":           {oauthtest.Options{Override: map[string]any{"grant_types_supported": []string{"authorization_code"}}}, 0, `missing +refresh tokens`},
		"no revocation":        {oauthtest.Options{NoRevocation: true}, 0, `missing +revocation`},
		"moved by a slash":     {oauthtest.Options{SlashRedirect: true}, 0, `ok +server +it redirects \(307\).*\n.* -> .*"url": ".*/mcp/"`},
		"moved elsewhere":      {oauthtest.Options{Redirects: map[string]oauthtest.Redirect{"mcp": oauthtest.CrossOrigin}}, 1, `WRONG +server .*another origin.*\n.* -> .*"url"`},
		"nothing there":        {oauthtest.Options{Instead: map[string]oauthtest.Answer{"mcp": {Status: 404}}}, 1, `WRONG +server .*404`},
		"an SSE server":        {oauthtest.Options{Instead: map[string]oauthtest.Answer{"mcp": {Status: 405}}}, 1, `WRONG +server .*405.*\n.* -> .*"type": "sse"`},
		"clock":                {oauthtest.Options{Instead: map[string]oauthtest.Answer{"mcp": {Status: 401, Header: http.Header{"Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}}}}}, 0, `WRONG +server's clock .*behind this machine's\n.* -> set the clock`},
		"texts of strangers":   {oauthtest.Options{ChallengeScope: "read\x1b[31m \u202Ewrite"}, 0, `ok +scopes `},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, c.o)
			text, status := askDoctor(t, s.MCP)
			if status != c.status || !regexp.MustCompile(c.say).MatchString(text) {
				t.Errorf("exit %d, want %d with %q:\n%s", status, c.status, c.say, text)
			}
			if strings.ContainsAny(text, "\x1b\u202E") || (status == 1) != strings.Contains(text, "No login can work") {
				t.Errorf("exit %d with:\n%s", status, text)
			}
			if s.Requests("register")+s.Requests("authorize") > 0 {
				t.Error("looking has begun a login or registered")
			}
		})
	}
}

func TestDoctorOfAnOpenServer(t *testing.T) {
	open := http.NewServeMux()
	open.HandleFunc("POST /mcp", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) })
	server := httptest.NewServer(open)
	defer server.Close()
	text, status := askDoctor(t, server.URL+"/mcp")
	if status != 0 || !strings.Contains(text, "No login is needed.") || strings.Contains(text, `"oauth"`) {
		t.Errorf("exit %d, and:\n%s", status, text)
	}
}

func TestDoctorOfNobody(t *testing.T) {
	text, status := askDoctor(t, fmt.Sprintf("http://127.0.0.1:%d/mcp", freePort(t)))
	if status != 1 || !strings.Contains(text, "-> nobody listens there") {
		t.Errorf("exit %d, and:\n%s", status, text)
	}
}

func TestDoctorOfAConfiguredServer(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{NoRegistration: true, SeparateOrigin: true, OfflineAccess: true})
	for members, c := range map[string]struct {
		status int
		say    string
	}{
		``: {1, `missing +registration`},
		fmt.Sprintf(`"client_metadata": {"client_id": "id-1", "client_secret": "s3cret"}, "server_url": %q,`, s.Issuer): {0, `ok +registration +by hand: client_id id-1 with client_secret_basic`},
		`"client_metadata": {"client_id": "id-1", "client_secret": "s3cret"}, "server_url": "https://other.example",`:   {1, `WRONG +registration .*client_secret is for https://other.example`},
		`"client_metadata": {"client_name": "x"},`: {0, `missing +registration .*"mcpo-client"`},
		`"client_metadata": {"client_id": "id-1", "token_endpoint_auth_method": "none", "redirect_uris": ["http://h.example/cb"]},`: {0, `WRONG +redirect URI .*http://h.example/cb\n.* -> .*https`},
		`"client_metadata": {"client_id": "id-1"}, "scopes": "read",`:                                                               {0, `missing +refresh tokens .*\n.* -> add "offline_access"`},
		`"client_metadata": {"client_id": "id-1"}, "resource": "off",`:                                                              {0, `ok +resource parameter +none is sent`},
	} {
		t.Run(members, func(t *testing.T) {
			o := protectedBy(t, s.MCP, members)
			text, status := doctorSays(t, o, "lab")
			if status != c.status || !regexp.MustCompile(c.say).MatchString(text) {
				t.Errorf("exit %d, want %d with %q:\n%s", status, c.status, c.say, text)
			}
			if strings.Contains(text, "s3cret") || strings.Contains(text, "The block to write") {
				t.Errorf("the report tells too much:\n%s", text)
			}
		})
	}
	text, status := doctorSays(t, protectedBy(t, s.MCP, ""), "plain")
	if status != 1 || !strings.Contains(text, `"client_id":`) {
		t.Errorf("exit %d, and:\n%s", status, text)
	}
}

func TestKnownServices(t *testing.T) {
	for _, c := range []struct{ server, issuer, want string }{
		{"https://api.githubcopilot.com/mcp/", "https://github.com/login/oauth", "GitHub"},
		{"https://bigquery.googleapis.com/mcp", "https://accounts.google.com", "Google"},
		{"https://tools.example/mcp", "https://login.microsoftonline.com/tenant/v2.0", "Microsoft Entra ID"},
		{"https://mcp.notion.com/mcp", "", "Notion"},
		{"https://notgithub.com/mcp", "https://github.com.example", ""},
	} {
		d := &oauth.Diagnosis{Metadata: &oauth.Metadata{Issuer: c.issuer}}
		if c.issuer == "" {
			d.Metadata = nil
		}
		got := ""
		if s := serviceOf(c.server, d); s != nil {
			got = s.name
		}
		if got != c.want {
			t.Errorf("%s with %s is %q, want %q", c.server, c.issuer, got, c.want)
		}
	}
	block := string(report{Diagnosis: &oauth.Diagnosis{Metadata: &oauth.Metadata{Issuer: "https://accounts.google.com"}, ByHand: true},
		known: serviceOf("https://accounts.google.com", &oauth.Diagnosis{})}.block())
	for _, want := range []string{`"access_type": "offline"`, `"prompt": "consent"`, `"client_id": `} {
		if !strings.Contains(block, want) {
			t.Errorf("the block has no %s:\n%s", want, block)
		}
	}
}
