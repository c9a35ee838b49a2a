package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .want files anew")

func testEnv(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": "t0ken", "EMPTY": "", "HOME": "/home/me", "USERPROFILE": "/home/me", "KEY": "0123456789abcdef", "PORT": "4040"}[name]
	return value, ok
}

// testRead has one file, and no other.
func testRead(path string) ([]byte, error) {
	if path == "/run/secrets/key" {
		return []byte("from-file\n"), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// TestLoad reads each testdata/*.json and compares with the .want beside it.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := parse(filepath.Base(file), data, testEnv, testRead)
			golden(t, strings.TrimSuffix(file, ".json")+".want", describe(t, cfg, err))
		})
	}
}

func describe(t *testing.T, cfg *Config, err error) string {
	t.Helper()
	if err != nil {
		var problems Problems
		if !errors.As(err, &problems) {
			t.Fatalf("the error is a %T, want Problems", err)
		}
		return problems.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range cfg.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w.Error())
	}
	shown := *cfg
	shown.Warnings = nil
	shown.Storage.Path = filepath.ToSlash(shown.Storage.Path)
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + string(text) + "\n"
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRefusesShortFiles(t *testing.T) {
	for data, want := range map[string]string{
		"":                               "f: the file is empty",
		" \n":                            "f: the file is empty",
		"\uFEFF":                         "f: the file is empty",
		"[]":                             "f:1: this must be an object, not a list",
		"null":                           "f:1: this must be an object, not null",
		"{}":                             "f:1: mcpServers: there is no mcpServers",
		"{not json":                      "f:1: this is no valid JSON",
		"{\n\"mcpServers\":{}}":          "f:2: mcpServers: there are no servers",
		`{"mcpServers":[]}`:              "f:1: mcpServers: this must be an object, not a list",
		`{"mcpServers":{"a":1}}`:         "f:1: mcpServers.a: this must be an object, not a number",
		strings.Repeat(`{"a":`, 100_000): "f: the file nests too deeply",
	} {
		_, err := parse("f", []byte(data), testEnv, testRead)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("parse(%.20q) = %v, want %q", data, err, want)
		}
	}
}

func TestRefusesReservedNames(t *testing.T) {
	for _, name := range reserved {
		_, err := parse("f", fmt.Appendf(nil, `{"mcpServers":{%q:{"command":"x"}}}`, name), testEnv, testRead)
		if want := fmt.Sprintf("the name %q is a path of mcpo's own", name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a server named %q gives %v, want %q", name, err, want)
		}
	}
}

func TestLoadFindsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.json")
	_, err := Load(path, testEnv)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].File != path || problems[0].Hint == "" {
		t.Errorf("Load = %#v, want one problem with a hint", err)
	}
}

func TestParseTransport(t *testing.T) {
	for spelled, want := range map[string]Transport{
		"stdio": Stdio, "sse": SSE, "streamable-http": StreamableHTTP, "streamable_http": StreamableHTTP,
		"streamablehttp": StreamableHTTP, "streamableHttp": StreamableHTTP, "http": StreamableHTTP,
	} {
		if got, ok := ParseTransport(spelled); !ok || got != want {
			t.Errorf("ParseTransport(%q) = %q, %v; want %q", spelled, got, ok, want)
		}
	}
	for _, unknown := range []string{"", "auto", "websocket"} {
		if got, ok := ParseTransport(unknown); ok {
			t.Errorf("ParseTransport(%q) = %q, want none", unknown, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", "\uFEFF{ // c\n\"mcpServers\": {\"a\": {\"command\": \"x\",},},}",
		`{"mcpServers":{"a":{"url":"http://${TOKEN}:1/","headers":{"X":"${file:/run/secrets/key}"},"timeout":1e300}}}`,
		`{"mcpServers":{"a":{"command":"$${x}${EMPTY:-d}","oauth":{"a":["${NONE}"]},"client_header_forwarding":{"enabled":1}}}}`,
		`{"mcpServers":{"a":{"url":"http://h/","oauth":{"server_url":"https://h","callback_port":"${PORT}","session_timeout_minutes":1e300,
			"scopes":"a b","allow_hosts":["10.1.2.3/8"],"client_metadata":{"client_id":"x","client_uri":"https://h","redirect_uris":["http://h/"]}}}},
			"storage":{"path":"~/x","encryption_key":["${KEY}"]}}`,
		`{"mcpServers":{"a":{"command":"x"}},"identity":{"webui_secret_key":"${KEY}","forward_jwt_secret":["a","${EMPTY}"],"trust_user_headers":true,
			"oidc":{"issuer":"http://[::1]:1/x","audience":"y"},"webui_url":"http://h//"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parse("f", data, testEnv, testRead)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.Message == "" || p.Line < 0 || p.Line > 1+strings.Count(string(data), "\n") {
					t.Errorf("a problem without message or at no line: %+v", p)
				}
			}
			return
		}
		checkIdentity(t, cfg.Identity)
		for _, s := range cfg.Servers {
			if s.Name == "" || s.Timeout < 0 || (s.Transport == Stdio) == (s.Command == "") || (s.Transport == Stdio) != (s.URL == "") {
				t.Errorf("a server that cannot be: %+v", s)
			}
			if s.OAuth != nil {
				checkOAuth(t, s)
			}
			if !s.Equal(s) {
				t.Errorf("not equal to itself: %+v", s)
			}
		}
	})
}

func TestNamesTheLineOfBadSyntax(t *testing.T) {
	for data, want := range map[string]string{
		"{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"":              "f:3: this is no valid JSON: parsing object after value: unexpected EOF",
		"{\r\n  \"mcpServers\": {\r\n    \"a\" {}\r\n}}":                      "f:3: this is no valid JSON: invalid character '{' after object name",
		"\uFEFF{\n\"mcpServers\": tru\n}":                                     "f:2: this is no valid JSON: a value that is no string,",
		"{\n\n\"mcpServers\": {} } }":                                         "f:3: this is no valid JSON: invalid character '}' after top-level value",
		"{\"mcpServers\": {\n\"a\": {\"command\": \"pass\\word\"}}}":          "f:2: this is no valid JSON: a string with a line break,",
		"{\"mcpServers\": {\n\"a\": {\"command\": \"password\n\"}}}":          "f:2: this is no valid JSON: a string with a line break,",
		"{\"mcpServers\": {\n\"a\": {\"command\": \"x\", /* no end\n}}}":      "f:2: this is no valid JSON: parsing comment: unexpected EOF",
		"[\"" + strings.Repeat("]", 1000) + "\"," + strings.Repeat("[", 1000): "f: the file nests too deeply",
	} {
		_, err := parse("f", []byte(data), testEnv, testRead)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("parse(%.60q) = %v, want %q", data, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("parse(%.60q) shows what may be a password: %v", data, err)
		}
	}
}

func TestBracketsInTextDoNotNest(t *testing.T) {
	text := strings.Repeat("[{", 200)
	data := fmt.Sprintf("{ // %s\n/* %s */\"mcpServers\": {\"a\": {\"command\": \"\\\"%s\"}}}", text, text, text)
	if _, err := parse("f", []byte(data), testEnv, testRead); err != nil {
		t.Error(err)
	}
}

// TestShowsNoSecrets puts a secret where each kind of value is refused.
func TestShowsNoSecrets(t *testing.T) {
	env := func(string) (string, bool) { return "hunter2\n", true }
	read := func(string) ([]byte, error) { return []byte("hunter2\x00"), nil }
	for _, members := range []string{
		`"type": "${S}"`, `"type": "${S}", "url": "http://h/"`, `"url": "${S}"`, `"url": "http://h/%zz${S}"`, `"url": "http://a:${file:/s}@h"`,
		`"url": "http://h/", "headers": {"X": "${S}"}`, `"url": "http://h/", "headers": {"X": "${file:/s}"}`,
		`"command": "x", "env": {"K": "${file:/s}"}`, `"command": "x", "timeout": "${S}"`, `"command": "x", "args": "hunter2"`,
		`"url": "http://h/", "oauth": {"server_url": "http://a:${file:/s}@h"}`, `"url": "http://h/", "oauth": {"server_url": "${S}"}`,
		`"url": "http://h/", "oauth": {"server_url": "auto", "callback_port": "${S}", "session_timeout_minutes": "${S}"}`,
		`"url": "http://h/", "oauth": {"server_url": "auto", "storage_type": "${S}", "catalog": "${S}", "resource": "${S}", "scopes": ["${S}"]}`,
		`"url": "http://h/", "oauth": {"server_url": "auto", "client_metadata_url": "${S}", "allow_hosts": ["${S}"]}`,
		`"url": "http://h/", "oauth": {"server_url": "auto", "webui_secret_key": ["hunter2"], "authorize_params": "hunter2"}`,
		`"url": "http://h/", "oauth": {"server_url": "auto", "client_metadata": {"redirect_uris": ["${S}"], "client_secret": "${S}",
			"token_endpoint_auth_method": "${S}", "token_endpoint": "${S}"}}`,
		`"command": "x", "env": "hunter2"`, `"url": "http://h/", "headers": ["hunter2"]`, `"command": "x", "disabled": "${S}"`,
	} {
		_, err := parse("f", []byte(`{"mcpServers":{"a":{`+members+`}}}`), env, read)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s gives %v, want a refusal without the secret", members, err)
		}
	}
}

func TestSaysWhenAllServersAreDisabled(t *testing.T) {
	cfg, err := parse("f", []byte(`{"mcpServers":{"a":{"command":"x","disabled":true}}}`), testEnv, testRead)
	if err != nil || len(cfg.Servers) != 0 || len(cfg.Warnings) != 1 || cfg.Warnings[0].Message != "every server is disabled" {
		t.Errorf("parse = %+v, %v; want a warning alone", cfg, err)
	}
}

func TestRefusesNamesTwiceInBlocks(t *testing.T) {
	_, err := parse("f", []byte("{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\n\"oauth\":{\"server_url\":\"auto\",\"client_metadata\":{\"jwks\":{\"x\":1,\n\"x\":2}}}}}}"), testEnv, testRead)
	if want := "f:3: mcpServers.a.oauth.client_metadata.jwks.x: this name appears twice"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("parse = %v, want %q", err, want)
	}
}

func TestLoadBoundsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	data := []byte(`{"mcpServers":{"a":{"command":"x"}}}` + strings.Repeat(" ", maxFile))
	for _, c := range []struct {
		size int
		want string
	}{{maxFile, ""}, {maxFile + 1, "it is larger than 8 MiB"}} {
		if err := os.WriteFile(path, data[:c.size], 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, testEnv)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Load of %d bytes = %v, want %q", c.size, err, c.want)
		}
	}
}
