package oauth

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzTokenAnswer: what is taken from an answer can be used, and an error told.
func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{`{"access_token":"a","expires_in":"3600","scope":"a b","refresh_token":"r","token_type":"bearer"}`, `{"error":"invalid_grant","error_description":"x\u202e"}`,
		`{"access_token":1}`, `null`, `[]`, "\uFEFF{}", `{"access_token":"a","ACCESS_TOKEN":"b"}`, `{"expires_in":1e999}`, `access_token=a&expires_in=1`, `error=x`, `%zz`} {
		f.Add([]byte(body), 200)
		f.Add([]byte(body), 400)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		got := answer{status: status, body: body}
		for _, read := range []func() (object, error){got.object, func() (object, error) { return formObject(body) }} {
			o, err := read()
			e := tokenError(got, o, "secret")
			if len(e.Code) > 70 || len(e.Description) > 210 || strings.ContainsAny(e.Error(), "\r\n\x1b") || strings.Contains(e.Error(), "\u202e") {
				t.Errorf("an error of %d bytes: %q", len(e.Error()), e)
			}
			if err != nil {
				continue
			}
			if tokens, err := readTokens(o); err == nil {
				if tokens.access == "" || strings.ContainsAny(tokens.access, " \r\n\x00") || tokens.life < 0 || tokens.scopes != nil && len(tokens.scopes) == 0 {
					t.Errorf("tokens %+v", tokens)
				}
				g := &grant{}
				g.take(tokens, time.Now())
				_ = g.due(time.Now())
			}
		}
	})
}

func FuzzRegistrationAnswer(f *testing.F) {
	const redirect = "http://localhost:3030/callback"
	for _, body := range []string{`{"client_id":"a"}`, `{"client_id":"a","client_secret":"b","client_secret_expires_at":1e300,"redirect_uris":["` + redirect + `"]}`,
		`{"client_id":"a","redirect_uris":[null]}`, `{"client_id":"a","redirect_uris":"x"}`, `{"client_id":"\n"}`, `{"client_id":"a","token_endpoint_auth_method":"x"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := answer{body: body}.object()
		if err != nil {
			return
		}
		r, err := readRegistration(o, map[string]any{"token_endpoint_auth_method": authNone}, redirect)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > 400 {
				t.Errorf("the error %q", err)
			}
			return
		}
		if r.ClientID == "" || !printable(r.ClientID) || !printable(r.Secret) || r.AuthMethod != authNone && r.Secret == "" || !r.Expires.IsZero() && time.Until(r.Expires) < 0 {
			t.Errorf("the registration %+v", r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		form := url.Values{}
		if authorize := r.authenticate(form); authorize == nil && form.Get("client_id") != r.ClientID {
			t.Errorf("the form %v", form)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	const issuer = "https://auth.example/tenant"
	good := fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":"https://a.example/a","token_endpoint":"https://a.example/t","code_challenge_methods_supported":["S256"]}`, issuer)
	for _, body := range []string{good, strings.ReplaceAll(good, "https:", "javascript:"), `{"issuer":"//a/b://c"}`, `{"issuer":"https://AUTH.example/tenant/"}`, `{"resource":"//host/a://b"}`} {
		f.Add([]byte(body))
	}
	a := authorizer(f, "https://mcp.example/mcp", nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := answer{body: body}.object()
		if err != nil {
			return
		}
		m := metadataOf(o)
		if a.checkMetadata(m, issuer) == nil {
			for _, endpoint := range []string{m.AuthorizationEndpoint, m.TokenEndpoint} {
				if !strings.HasPrefix(strings.ToLower(endpoint), "http") || strings.ContainsAny(endpoint, "\r\n\t <>\"\\") {
					t.Errorf("the endpoint %q", endpoint)
				}
			}
			if strings.TrimSuffix(lower(m.Issuer), "/") != issuer {
				t.Errorf("the issuer %q", m.Issuer)
			}
			to, err := a.authorizationURL(m, &login{Registration: registration{ClientID: "x"}, Verifier: newVerifier()}, "state")
			if err != nil || !strings.Contains(to, "state=state") {
				t.Errorf("%q, %v", to, err)
			}
		}
		if a.checkResource(&Resource{Resource: o.text("resource")}) == nil {
			if r := o.text("resource"); !strings.HasPrefix(strings.ToLower(r), "https://mcp.example") {
				t.Errorf("the resource %q", r)
			}
		}
	})
}
