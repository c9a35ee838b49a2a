package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkOAuth holds what is true of every oauth block that was accepted.
func checkOAuth(t *testing.T, s Server) {
	t.Helper()
	o := *s.OAuth
	switch {
	case s.Transport == Stdio:
		t.Errorf("a program logs in: %+v", s)
	case o.ServerURL == "" || o.CallbackPort < 1 || o.CallbackPort > 65535 || o.SessionTimeout <= 0 || o.SessionTimeout > 366*24*time.Hour:
		t.Errorf("a block that cannot be: %+v", o)
	case o.StorageType != "file" && o.StorageType != "memory", o.Catalog != "shared" && o.Catalog != "private":
		t.Errorf("a word that cannot be: %+v", o)
	case slices.Contains(o.Scopes, "") || slices.Contains(o.AllowHosts, ""):
		t.Errorf("an empty scope or host: %+v", o)
	}
	if o.ClientMetadata == nil {
		return
	}
	for name, raw := range o.ClientMetadata.Extra {
		if !json.Valid(raw) || string(raw) == "null" {
			t.Errorf("%s is %s", name, raw)
		}
	}
}

// block reads one oauth block.
func block(t *testing.T, members string) (*OAuth, []Problem, error) {
	t.Helper()
	cfg, err := parse("f", fmt.Appendf(nil, "{\"mcpServers\":{\"a\":{\"url\":\"https://h/mcp\",\"oauth\":{\n%s}}}}", members), testEnv, testRead)
	if err != nil {
		return nil, nil, err
	}
	return cfg.Servers[0].OAuth, cfg.Warnings, nil
}

func TestOAuthDefaults(t *testing.T) {
	o, warnings, err := block(t, `"server_url":"http://localhost:8000"`)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	want := OAuth{ServerURL: "http://localhost:8000", CallbackPort: 3030, UseLoopback: true, StorageType: "file", MultiUser: true,
		SessionTimeout: 30 * time.Minute, Resource: "auto", Catalog: "shared"}
	if got := (Server{OAuth: o}); !got.Equal(Server{OAuth: &want}) {
		t.Errorf("got %+v", *o)
	}
	if o.Scopes != nil || o.ClientMetadata != nil {
		t.Errorf("what is not told is %#v, %v", o.Scopes, o.ClientMetadata)
	}
}

func TestOAuthNeedsItsServer(t *testing.T) {
	for _, members := range []string{``, `"server_url":""`, `"server_url":null`, `"server_url":"${EMPTY}"`} {
		_, _, err := block(t, members)
		if err == nil || strings.Count(err.Error(), "OAuth server_url required (write ") != 1 || !strings.Contains(err.Error(), "mcpServers.a.oauth") {
			t.Errorf("{%s} gives %v", members, err)
		}
	}
	if _, _, err := block(t, `"server_url":5`); err == nil || strings.Contains(err.Error(), "required") {
		t.Errorf("a number gives %v", err)
	}
}

// TestOAuthValues holds what single values are read as, or why they are refused.
func TestOAuthValues(t *testing.T) {
	for _, c := range []struct {
		member string
		read   func(*OAuth) any
		want   string // the value with %v, or a part of the problem after "!"
	}{
		{`"callback_port":"${PORT}"`, func(o *OAuth) any { return o.CallbackPort }, "4040"},
		{`"callback_port":0`, nil, "!callback_port: this must be a port"},
		{`"callback_port":65536`, nil, "!this must be a port"},
		{`"callback_port":3030.5`, nil, "!this must be a port"},
		{`"callback_port":"NaN"`, nil, "!this must be a port"},
		{`"callback_port":true`, nil, "!this must be a port"},
		{`"session_timeout_minutes":0.5`, func(o *OAuth) any { return o.SessionTimeout }, "30s"},
		{`"session_timeout_minutes":"90"`, func(o *OAuth) any { return o.SessionTimeout }, "1h30m0s"},
		{`"session_timeout_minutes":0`, nil, "!this must be a time longer than zero"},
		{`"session_timeout_minutes":-1e300`, nil, "!this must be a time longer than zero"},
		{`"session_timeout_minutes":1e300`, nil, "!of at most a year"},
		{`"session_timeout_minutes":"NaN"`, nil, "!this must be a time longer than zero"},
		{`"storage_type":"memory"`, func(o *OAuth) any { return o.StorageType }, "memory"},
		{`"storage_type":"disk"`, nil, "!storage_type: this value is unknown (write file, memory)"},
		{`"catalog":"public"`, nil, "!catalog: this value is unknown (write shared, private)"},
		{`"multi_user":"no"`, nil, "!multi_user: this must be true or false"},
		{`"webui_secret_key":"${EMPTY}"`, nil, "!webui_secret_key: this is empty"},
		{`"scopes":"  read  write:all "`, func(o *OAuth) any { return o.Scopes }, "[read write:all]"},
		{`"scopes":["read","write:all"]`, func(o *OAuth) any { return o.Scopes }, "[read write:all]"},
		{`"scopes":[]`, func(o *OAuth) any { return o.Scopes != nil && len(o.Scopes) == 0 }, "true"},
		{`"scopes":"${EMPTY}"`, func(o *OAuth) any { return o.Scopes == nil }, "true"},
		{`"scopes":["a b"]`, nil, "!scopes[0]: scopes have no spaces"},
		{`"scopes":["a",""]`, nil, "!scopes[1]: this is empty"},
		{`"scopes":"a \"b"`, nil, "!scopes: scopes have no spaces, quotes"},
		{`"scopes":5`, nil, "!this must be a list of strings, not a number"},
		{`"resource":"off"`, func(o *OAuth) any { return o.Resource }, "off"},
		{`"resource":"api://1234-abcd"`, func(o *OAuth) any { return o.Resource }, "api://1234-abcd"},
		{`"resource":"urn:example:x"`, func(o *OAuth) any { return o.Resource }, "urn:example:x"},
		{`"resource":"/mcp"`, nil, "!resource: this must be an absolute URI"},
		{`"resource":"https://h/#x"`, nil, "!resource: this must be an absolute URI"},
		{`"resource":""`, nil, "!resource: this is empty"},
		{`"authorize_params":{"access_type":"offline","max_age":0}`, func(o *OAuth) any { return o.AuthorizeParams }, "map[access_type:offline max_age:0]"},
		{`"authorize_params":{"":"x"}`, nil, "!a parameter has no name"},
		{`"authorize_params":["x"]`, nil, "!this must be an object"},
		{`"allow_hosts":["Auth.Internal","::FFFF:10.0.0.7","10.1.2.3/8","FD00::/8"]`, func(o *OAuth) any { return o.AllowHosts },
			"[auth.internal ::ffff:10.0.0.7 10.0.0.0/8 fd00::/8]"},
		{`"allow_hosts":["h:80"]`, nil, "!allow_hosts[0]: this is no host and no network"},
		{`"allow_hosts":["https://h"]`, nil, "!allow_hosts[0]: this is no host and no network"},
		{`"allow_hosts":["10.0.0.0/33"]`, nil, "!allow_hosts[0]: this is no host and no network"},
		{`"allow_hosts":["*.internal"]`, nil, "!allow_hosts[0]: this is no host and no network"},
		{`"allow_hosts":[""]`, nil, "!allow_hosts[0]: this is empty"},
		{`"client_metadata_url":"https://h/client.json"`, func(o *OAuth) any { return o.ClientMetadataURL }, "https://h/client.json"},
		{`"client_metadata_url":"http://h/client.json"`, nil, "!this must be an https URL with a path"},
		{`"client_metadata_url":"https://h/"`, nil, "!this must be an https URL with a path"},
		{`"client_metadata_url":"https://h/a/%2e%2e/b"`, nil, "!this must be an https URL with a path"},
	} {
		o, _, err := block(t, `"server_url":"https://h",`+c.member)
		if problem, refused := strings.CutPrefix(c.want, "!"); refused {
			if err == nil || !strings.HasPrefix(err.Error(), "f:2: mcpServers.a.oauth.") || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s gives %v, want one problem with %q", c.member, err, problem)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.member, err)
		} else if got := fmt.Sprint(c.read(o)); got != c.want {
			t.Errorf("%s is read as %s, want %s", c.member, got, c.want)
		}
	}
}

func TestOAuthServerURLs(t *testing.T) {
	for url, want := range map[string]string{
		"auto": "", "https://h": "", "https://h/": "", "https://h:8443/realms/x": "", "http://[::1]:8000": "",
		"h": "absolute http or https", "AUTO": "absolute http or https", "//h": "absolute http or https", "javascript:alert(1)": "absolute http or https",
		"file:///etc/passwd": "absolute http or https", "https://": "absolute http or https", "https://h:x": "this is no URL", "https://h/\\n": "this is no URL",
		"https://me:pw@h": "holds a name or password", "https://h/#": "has a fragment", "https://h/?a=b": "has a query", "https://h/?": "has a query",
	} {
		_, warnings, err := block(t, fmt.Sprintf(`"server_url":"%s"`, url))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw")) || len(warnings) > 0 {
			t.Errorf("%s gives %v, %v; want %q", url, err, warnings, want)
		}
	}
	if _, warnings, err := block(t, `"server_url":"https://h/mcp/"`); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Message, "the MCP server's address") {
		t.Errorf("the MCP server's address gives %v, %v", warnings, err)
	}
}

func TestAuthorizeParamsAreNotOurs(t *testing.T) {
	for name := range ownParams() {
		_, _, err := block(t, fmt.Sprintf(`"server_url":"auto","authorize_params":{%q:"x"}`, name))
		if want := "authorize_params." + name + ": this parameter cannot be set here ("; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// TestClientMetadata holds what client_metadata may be, and what is said of it.
func TestClientMetadata(t *testing.T) {
	for members, want := range map[string]string{
		``: "",
		`"client_name":"Me","redirect_uris":["http://localhost:3030/callback","https://h/cb?x=y"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"]`: "",
		`"client_id":"x","client_secret":"y","token_endpoint_auth_method":"client_secret_basic"`:                                                                                  "",
		`"client_id":"x","client_secret":"y"`: "", `"client_id":"x"`: "", `"client_id":"x","token_endpoint_auth_method":"none"`: "",
		`"token_endpoint_auth_method":"client_secret_post"`: "", `"logo_uri":"https://h/l.png","client_name#de":"Ich","contacts":["a@h"],"jwks":{"keys":[]}`: "",
		`"client_id":null,"client_secret":null,"scope":null,"logo_uri":null,"jwks":null`: "",
		`"scope":"a b"`: "warning: scope: this is discovered",
		`"authorization_endpoint":"https://h/authorize"`:                          "warning: authorization_endpoint: this is discovered",
		`"token_endpoint":"https://h/token"`:                                      "warning: token_endpoint: this is discovered",
		`"redirect_uri":"https://h/cb"`:                                           "warning: redirect_uri: this key is unknown and is sent to the OAuth server as it is (did you mean redirect_uris?)",
		`"zzzzzz":1`:                                                              "warning: zzzzzz: this key is unknown and is sent to the OAuth server as it is (registrations have no such member",
		`"redirect_uris":["http://h.example/cb"]`:                                 "warning: redirect_uris[0]: the code travels in the open",
		`"redirect_uris":["/callback"]`:                                           "redirect_uris[0]: this must be an absolute http or https URL",
		`"redirect_uris":["http://localhost/","myapp://callback"]`:                "redirect_uris[1]: this must be an absolute http or https URL",
		`"redirect_uris":["http://localhost/#x"]`:                                 "redirect_uris[0]: the URL has a fragment",
		`"redirect_uris":[""]`:                                                    "redirect_uris[0]: this is empty",
		`"redirect_uris":"http://localhost/"`:                                     "redirect_uris: this must be a list",
		`"grant_types":["refresh_token"]`:                                         `grant_types: "authorization_code" is missing`,
		`"response_types":[]`:                                                     `response_types: "code" is missing`,
		`"token_endpoint_auth_method":"private_key_jwt"`:                          "token_endpoint_auth_method: this value is unknown (write none, client_secret_basic, client_secret_post)",
		`"client_secret":"y"`:                                                     "client_secret: a client_secret needs a client_id",
		`"client_id":"x","client_secret":"y","token_endpoint_auth_method":"none"`: "token_endpoint_auth_method: a client with a client_secret has a method other than none",
		`"client_id":"x","token_endpoint_auth_method":"client_secret_post"`:       "token_endpoint_auth_method: the method client_secret_post needs a client_secret",
		`"client_id":""`:                                                          "client_id: this is empty",
		`"token_endpoint":"ftp://h"`:                                              "token_endpoint: this must be an absolute http or https URL",
		`"authorization_endpoint":"javascript:1"`:                                 "authorization_endpoint: this must be an absolute http or https URL",
	} {
		o, warnings, err := block(t, `"server_url":"auto","client_metadata":{`+members+`}`)
		got := ""
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n") // a warning may follow
			got = strings.TrimPrefix(first, "f:2: mcpServers.a.oauth.client_metadata.")
		}
		for _, w := range warnings {
			got += "warning: " + strings.TrimPrefix(w.Error(), "f:2: mcpServers.a.oauth.client_metadata.")
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("{%s} gives %q, want %q", members, got, want)
		}
		if err == nil {
			checkOAuth(t, Server{Transport: Auto, OAuth: o})
		}
	}
}

func TestClientMetadataKeepsOtherMembers(t *testing.T) {
	o, _, err := block(t, `"server_url":"auto","client_metadata":{"contacts":["${TOKEN}"],"jwks":{/* c */"keys":[1.0]},"tos_uri":null}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s", o.ClientMetadata.Extra); got != `map[contacts:["t0ken"] jwks:{"keys":[1.0]}]` {
		t.Errorf("Extra is %s", got)
	}
}

func TestOAuthWarnsOfUnknownKeys(t *testing.T) {
	for member, want := range map[string]string{
		`"callbak_port":1`:            "callbak_port: this key is unknown and has no effect (did you mean callback_port?)",
		`"scope":"x"`:                 "scope: this key is unknown and has no effect (did you mean scopes?)",
		`"client_id":"x"`:             "client_id: this key is unknown here and has no effect (write it inside client_metadata)",
		`"redirect_uris":[]`:          "redirect_uris: this key is unknown here and has no effect (write it inside client_metadata)",
		`"qqqqqqqqqq":null`:           "",
		`"webui_secret_key":"secret"`: "",
		`"webui_secret_key":"t0p-s3cr3t"`: "webui_secret_key: this is the key that Open WebUI is published with: everybody knows it " +
			"(give Open WebUI a WEBUI_SECRET_KEY of your own, and write it here)",
	} {
		_, warnings, err := block(t, `"server_url":"auto",`+member)
		got := ""
		for _, w := range warnings {
			got += strings.TrimPrefix(w.Error(), "f:2: mcpServers.a.oauth.")
		}
		if err != nil || got != want {
			t.Errorf("%s warns %q, %v; want %q", member, got, err, want)
		}
	}
}

func TestOAuthAndTransports(t *testing.T) {
	const oauth = `"oauth":{"server_url":"auto"}`
	for members, want := range map[string]string{
		`"url":"http://h/",` + oauth:                       "",
		`"type":"sse","url":"http://h/",` + oauth:          "",
		oauth + `,"type":"http","url":"http://h/"`:         "",
		`"command":"x",` + oauth:                           "mcpServers.a.oauth: OAuth is not applicable to stdio servers",
		`"oauth":{"server_url":5},"command":"x"`:           "mcpServers.a.oauth: OAuth is not applicable to stdio servers",
		`"command":"x","oauth":null`:                       "",
		`"url":"http://h/","oauth":null`:                   "",
		`"url":"http://h/","oauth":"yes"`:                  "mcpServers.a.oauth: this must be an object, not a string",
		`"type":"nonsense","url":"http://h/","oauth":null`: "mcpServers.a.type: the type \"nonsense\" is unknown",
	} {
		_, err := parse("f", []byte(`{"mcpServers":{"a":{`+members+`}}}`), testEnv, testRead)
		if (err == nil) != (want == "") || err != nil && (!strings.HasPrefix(err.Error(), "f:1: "+want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("{%s} gives %v, want %q", members, err, want)
		}
	}
}
