package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkIdentity holds what is true of every identity block that was accepted.
func checkIdentity(t *testing.T, id Identity) {
	t.Helper()
	switch {
	case id.TrustUserHeaders && id.ForwardJWTSecrets != nil:
		t.Errorf("plain headers are believed beside the signed one: %+v", id)
	case id.ForwardJWTSecrets != nil && len(id.ForwardJWTSecrets) == 0, slices.Contains(id.ForwardJWTSecrets, ""):
		t.Errorf("a key that verifies nothing: %d", len(id.ForwardJWTSecrets))
	case id.OIDC != nil && (id.OIDC.Issuer == "" || id.OIDC.Audience == ""):
		t.Errorf("a provider that cannot be: %+v", *id.OIDC)
	case strings.HasSuffix(id.WebUIURL, "/"):
		t.Errorf("a slash is left at the end of %q", id.WebUIURL)
	}
}

// readIdentity reads one identity block. What it says of it is cut to what
// comes after the block's own path.
func readIdentity(block string) (id Identity, said string) {
	cfg, err := parse("f", fmt.Appendf(nil, "{\"mcpServers\":{\"a\":{\"command\":\"x\"}},\"identity\":\n%s}", block), testEnv, testRead)
	if err != nil {
		return id, strings.ReplaceAll(err.Error(), "f:2: identity", "")
	}
	for _, w := range cfg.Warnings {
		said += "warning" + strings.TrimPrefix(w.Error(), "f:2: identity")
	}
	return cfg.Identity, said
}

func TestIdentityIsRead(t *testing.T) {
	for block, want := range map[string]Identity{
		`null`: {}, `{}`: {},
		`{"webui_secret_key":null,"forward_jwt_secret":null,"trust_user_headers":null,"oidc":null,"webui_url":null}`: {},
		`{"webui_secret_key":"${TOKEN}"}`:                               {WebUISecretKey: "t0ken"},
		`{"webui_secret_key":"${file:/run/secrets/key}"}`:               {WebUISecretKey: "from-file"},
		`{"forward_jwt_secret":"${TOKEN}"}`:                             {ForwardJWTSecrets: []Secret{"t0ken"}},
		`{"forward_jwt_secret":["new","${TOKEN}"]}`:                     {ForwardJWTSecrets: []Secret{"new", "t0ken"}},
		`{"forward_jwt_secret":"a, b "}`:                                {ForwardJWTSecrets: []Secret{"a, b "}},
		`{"forward_jwt_secret":"x","trust_user_headers":false}`:         {ForwardJWTSecrets: []Secret{"x"}},
		`{"forward_jwt_secret":null,"trust_user_headers":true}`:         {TrustUserHeaders: true},
		`{"webui_secret_key":"x","trust_user_headers":true}`:            {WebUISecretKey: "x", TrustUserHeaders: true},
		`{"oidc":{"issuer":"https://h/realms/x/","audience":"y"}}`:      {OIDC: &OIDC{"https://h/realms/x/", "y"}},
		`{"oidc":{"issuer":"http://localhost:8080","audience":"a b"}}`:  {OIDC: &OIDC{"http://localhost:8080", "a b"}},
		`{"oidc":{"issuer":"http://127.0.0.9/","audience":"y"}}`:        {OIDC: &OIDC{"http://127.0.0.9/", "y"}},
		`{"oidc":{"issuer":"http://[::1]:8080","audience":"${TOKEN}"}}`: {OIDC: &OIDC{"http://[::1]:8080", "t0ken"}},
		`{"webui_url":"http://chat.internal:8080/base//"}`:              {WebUIURL: "http://chat.internal:8080/base"},
		`{"webui_url":"${EMPTY}"}`:                                      {},
	} {
		id, said := readIdentity(block)
		if diff := cmp.Diff(want, id); diff != "" || said != "" {
			t.Errorf("%s: %s\n%s", block, said, diff)
		}
		checkIdentity(t, id)
	}
}

// TestIdentityProblems holds how each mistake is said: one line, from its
// beginning.
func TestIdentityProblems(t *testing.T) {
	const issuer = `"issuer":"https://h"`
	for block, want := range map[string]string{
		`[]`:                              ": this must be an object, not a list",
		`"shared"`:                        ": this must be an object, not a string",
		`{"webui_secret_key":""}`:         ".webui_secret_key: this is empty (write the WEBUI_SECRET_KEY of Open WebUI, or remove the line)",
		`{"webui_secret_key":"${EMPTY}"}`: ".webui_secret_key: this is empty",
		`{"webui_secret_key":5}`:          ".webui_secret_key: this must be a string, not a number",
		`{"webui_secret_key":["x"]}`:      ".webui_secret_key: this must be a string, not a list",
		`{"webui_secret_key":"a","webui_secret_key":"b"}`:                                   ".webui_secret_key: this name appears twice",
		`{"forward_jwt_secret":""}`:                                                         ".forward_jwt_secret: this is empty (write the FORWARD_USER_INFO_HEADER_JWT_SECRET of Open WebUI, or",
		`{"forward_jwt_secret":"${EMPTY:-}"}`:                                               ".forward_jwt_secret: this is empty",
		`{"forward_jwt_secret":[]}`:                                                         ".forward_jwt_secret: there are no keys (write the FORWARD_USER_INFO_HEADER_JWT_SECRET of Open WebUI",
		`{"forward_jwt_secret":["x","${EMPTY}"]}`:                                           ".forward_jwt_secret[1]: this is empty (write the FORWARD",
		`{"forward_jwt_secret":["x",null]}`:                                                 ".forward_jwt_secret[1]: this must be a string, not null",
		`{"forward_jwt_secret":true}`:                                                       ".forward_jwt_secret: this must be a string, not true or false",
		`{"trust_user_headers":"true"}`:                                                     ".trust_user_headers: this must be true or false, not a string",
		`{"trust_user_headers":true,"forward_jwt_secret":"x"}`:                              ".trust_user_headers: plain user headers are refused where the signed one is wanted, so only one of the two can stand (keep forward_jwt_secret, and remove this line)",
		`{"oidc":"https://h"}`:                                                              ".oidc: this must be an object, not a string",
		`{"oidc":{` + issuer + `}}`:                                                         `.oidc: oidc needs an audience (write "audience": "…", whom its tokens are for, as the aud of one says)`,
		`{"oidc":{` + issuer + `,"audience":null}}`:                                         ".oidc: oidc needs an audience",
		`{"oidc":{"audience":"y"}}`:                                                         `.oidc: oidc needs an issuer (write "issuer": "https://HOST, the OpenID provider's issuer")`,
		`{"oidc":{` + issuer + `,"audience":""}}`:                                           ".oidc.audience: this is empty",
		`{"oidc":{` + issuer + `,"audience":["y"]}}`:                                        ".oidc.audience: this must be a string, not a list",
		`{"oidc":{"issuer":"","audience":"y"}}`:                                             ".oidc.issuer: this is empty",
		`{"oidc":{"issuer":"http://h","audience":"y"}}`:                                     ".oidc.issuer: this must be an https URL",
		`{"oidc":{"issuer":"http://localhost.h","audience":"y"}}`:                           ".oidc.issuer: this must be an https URL",
		`{"oidc":{"issuer":"http://10.0.0.1","audience":"y"}}`:                              ".oidc.issuer: this must be an https URL",
		`{"oidc":{"issuer":"h","audience":"y"}}`:                                            ".oidc.issuer: this must be an absolute http or https URL",
		`{"oidc":{"issuer":"https://a:pw@h","audience":"y"}}`:                               ".oidc.issuer: the URL holds a name or password",
		`{"oidc":{"issuer":"https://h?x","audience":"y"}}`:                                  ".oidc.issuer: the URL has a query",
		`{"oidc":{"issuer":"https://h/#x","audience":"y"}}`:                                 ".oidc.issuer: the URL has a fragment",
		`{"oidc":{"issuer":"https://h/x/.well-known/openid-configuration","audience":"y"}}`: ".oidc.issuer: this is the address of the provider's metadata, not its issuer (leave",
		`{"oidc":{"issuer":"https://h/a b","audience":"y"}}`:                                ".oidc.issuer: the URL has a space",
		`{"webui_url":"chat.example"}`:                                                      ".webui_url: this must be an absolute http or https URL",
		`{"webui_url":"https://a:pw@h"}`:                                                    ".webui_url: the URL holds a name or password",
		`{"webui_url":"https://h/?x=y"}`:                                                    ".webui_url: the URL has a query",
		`{"webui_url":"https://h/%zz"}`:                                                     ".webui_url: this is no URL",
		`{"webui_url":false}`:                                                               ".webui_url: this must be a string",
		`{"webui_secret_key":"t0p-s3cr3t"}`:                                                 "warning.webui_secret_key: this is the key that Open WebUI is published with: everybody knows it",
		`{"forward_jwt_secrets":"x"}`:                                                       "warning.forward_jwt_secrets: this key is unknown and has no effect (did you mean forward_jwt_secret?)",
		`{"public_url":"https://h"}`:                                                        "warning.public_url: this key is unknown and has no effect (",
		`{"oidc":{` + issuer + `,"audience":"y","client_secret":"pw"}}`:                     "warning.oidc.client_secret: this key is unknown and has no effect (known are issuer, audience)",
	} {
		_, said := readIdentity(block)
		if !strings.HasPrefix(said, want) || strings.Contains(said, "\n") || strings.Contains(said, "pw") {
			t.Errorf("%s gives %q, want %q", block, said, want)
		}
	}
}

// TestIdentitySaysAllProblems: whoever corrects a file wants to do it once.
func TestIdentitySaysAllProblems(t *testing.T) {
	_, said := readIdentity(`{"webui_secret_key":"","forward_jwt_secret":["",""],"trust_user_headers":true,"oidc":{},"webui_url":"x"}`)
	if got := strings.Count(said, "\n") + 1; got != 7 {
		t.Errorf("%d problems, want 7:\n%s", got, said)
	}
}

func TestIdentityShowsNoKeys(t *testing.T) {
	id, _ := readIdentity(`{"webui_secret_key":"hunter2","forward_jwt_secret":["hunter2"]}`)
	if shown := fmt.Sprintf("%v %+v %#v", id, id, id); strings.Contains(shown, "hunter2") {
		t.Error(shown)
	}
}
