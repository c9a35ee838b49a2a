package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestForwardingSelect(t *testing.T) {
	h := http.Header{
		"Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "X-Openwebui-User-Id": {"u"}, "Host": {"h"}, "Connection": {"close, X-Hop"},
		"X-Hop": {"1"}, "Content-Length": {"3"}, "Mcp-Session-Id": {"s"}, "User-Agent": {"ua"}, "X-Trace": {"1", "2"}, "X-User": {"me"},
	}
	for _, c := range []struct {
		name string
		f    Forwarding
		want http.Header
	}{
		{"off", Forwarding{Whitelist: []string{"X-Trace"}}, nil},
		{"all", Forwarding{Enabled: true}, http.Header{"X-Trace": {"1", "2"}, "X-User": {"me"}}},
		{"whitelist", Forwarding{Enabled: true, Whitelist: []string{"x-trace"}}, http.Header{"X-Trace": {"1", "2"}}},
		{"blacklist", Forwarding{Enabled: true, Blacklist: []string{"X-U*"}}, http.Header{"X-Trace": {"1", "2"}}},
		{"both", Forwarding{Enabled: true, Whitelist: []string{"X-*"}, Blacklist: []string{"x-trace"}}, http.Header{"X-User": {"me"}}},
		{"everything is not what is private", Forwarding{Enabled: true, Whitelist: []string{"*"}}, http.Header{"X-Trace": {"1", "2"}, "X-User": {"me"}}},
		{"private when named", Forwarding{Enabled: true, Whitelist: []string{"authorization", "X-OpenWebUI-User-Id", "user-agent"}},
			http.Header{"Authorization": {"Bearer x"}, "X-Openwebui-User-Id": {"u"}, "User-Agent": {"ua"}}},
		{"all but named", Forwarding{Enabled: true, Blacklist: []string{"*"}}, nil},
		{"a part of a private name is not its name", Forwarding{Enabled: true, Whitelist: []string{"Auth*", "X-OpenWebUI-*", "Cookie*"}}, nil},
		{"left out though named", Forwarding{Enabled: true, Whitelist: []string{"Cookie"}, Blacklist: []string{"cookie"}}, nil},
		{"own hop never", Forwarding{Enabled: true, Whitelist: []string{"Host", "Connection", "X-Hop", "Mcp-Session-Id"}}, nil},
	} {
		if diff := cmp.Diff(c.want, c.f.Select(h)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestServerEqual changes one field after the other, so that a new field
// cannot be forgotten.
func TestServerEqual(t *testing.T) {
	base := Server{
		Name: "n", Transport: Stdio, Command: "c", Args: []string{"a"}, Env: map[string]string{"k": "v"}, Dir: "d", URL: "u",
		Headers: map[string]string{"H": "v"}, EnabledTools: []string{"e"}, DisabledTools: []string{"d"}, Timeout: time.Second,
		Forward: Forwarding{Enabled: true}, OAuth: &OAuth{CallbackPort: 1},
		Limits: Limits{Concurrent: 1}, CircuitBreaker: CircuitBreaker{Failures: 1},
	}
	if !base.Equal(base) {
		t.Error("a server does not equal itself")
	}
	for i := range reflect.TypeFor[Server]().NumField() {
		other := base
		name := reflect.TypeFor[Server]().Field(i).Name
		kept := name == "Limits" || name == "CircuitBreaker" // which no connection depends on
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		if base.Equal(other) != kept || other.Equal(base) != kept {
			t.Errorf("another %s is seen: %t", name, !base.Equal(other))
		}
	}
	base.Forward = Forwarding{Enabled: true, Whitelist: []string{"w"}, Blacklist: []string{"b"}}
	for i := range reflect.TypeFor[Forwarding]().NumField() {
		other := base
		reflect.ValueOf(&other.Forward).Elem().Field(i).SetZero()
		if base.Equal(other) || other.Equal(base) {
			t.Errorf("another Forward.%s goes unseen", reflect.TypeFor[Forwarding]().Field(i).Name)
		}
	}
	none := base
	none.EnabledTools = []string{}
	all := base
	all.EnabledTools = nil
	if none.Equal(all) {
		t.Error("no tools at all equals all tools")
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := Secret("hunter2")
	var logged strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("x", "key", s, "in", struct{ S Secret }{s}, "list", []Secret{s}, "pointer", &s)
	}
	encoded, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{logged.String(), string(encoded), s.String(), s.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d", "%c", "%40s"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, struct{ S Secret }{s}))
	}
	for _, text := range texts {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74") || strings.Contains(text, "68 75") || !strings.Contains(text, redacted) {
			t.Errorf("the secret shows as %q", text)
		}
	}
	if s.Reveal() != "hunter2" {
		t.Errorf("Reveal = %q", s.Reveal())
	}
}
