package config

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
	"golang.org/x/net/http/httpguts"
)

// Keys that are known, for the hint at one that is not.
var (
	rootKeys   = [...]string{"mcpServers", "public_url", "identity", "storage", "limits", "circuit_breaker"}
	serverKeys = [...]string{"command", "args", "env", "cwd", "type", "url", "headers", "disabledTools", "disabled_tools", "enabledTools",
		"enabled_tools", "timeout", "client_header_forwarding", "oauth", "limits", "circuit_breaker", "disabled"}
	oauthKeys = [...]string{"server_url", "callback_port", "use_loopback", "storage_type", "multi_user", "webui_secret_key",
		"session_timeout_minutes", "client_metadata", "client_metadata_url", "scopes", "resource", "authorize_params",
		"allow_missing_pkce", "allow_unverified_jwt", "allow_hosts", "catalog"}
	// foreignKeys are other programs' and silently left to them.
	foreignKeys = [...]string{"$schema", "description", "autoApprove", "alwaysAllow", "name", "icon"}
	// reserved are mcpo's own routes at the root.
	reserved = [...]string{"", ".", "..", "openapi.json", "docs", "redoc", "oauth", "connections", "healthz", "readyz", "login",
		"metrics", "api", "system", "favicon.ico"}
)

func (r *reader) root(v hujson.Value, cfg *Config) {
	members, ok := r.object(v, "")
	if !ok {
		return
	}
	r.allLimits, r.allBreaker = r.limits(v, "", Limits{}), r.circuitBreaker(v, "", CircuitBreaker{})
	found := false
	for _, m := range members {
		switch name := nameOf(m); name {
		case "mcpServers":
			found = true
			r.servers(m.Value, cfg)
		case "public_url":
			if cfg.PublicURL = r.text(m.Value, name); cfg.PublicURL != "" { // "" is what an unset ${VAR:-} gives
				r.checkURL(m.Value, name, cfg.PublicURL)
			}
		case "identity":
			cfg.Identity = r.identity(m.Value, name)
		case "storage": // read below, for its defaults depend on the servers
		case "limits", "circuit_breaker": // read above, for servers depend on them
		default:
			r.unknown(m, "", rootKeys[:])
		}
	}
	if !found {
		r.problem(v, "mcpServers", example, "there is no mcpServers")
	}
	cfg.Storage = r.storage(v, cfg.Servers)
}

func (r *reader) unknown(m hujson.ObjectMember, path string, known []string) {
	name := nameOf(m)
	if slices.Contains(foreignKeys[:], name) {
		return
	}
	hint := "known are " + strings.Join(known, ", ")
	if near := meant(name, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.warn(m.Name, join(path, name), hint, "this key is unknown and has no effect")
}

func (r *reader) servers(v hujson.Value, cfg *Config) {
	members, ok := r.object(v, "mcpServers")
	if !ok {
		return
	}
	if len(members) == 0 {
		r.problem(v, "mcpServers", example, "there are no servers")
	}
	for _, m := range members {
		name := nameOf(m)
		if slices.Contains(reserved[:], name) {
			r.problem(m.Name, join("mcpServers", name), "give the server another name", "the name %q is a path of mcpo's own", name)
		}
		if r.switchedOff(m.Value, join("mcpServers", name)) {
			continue
		}
		if s, ok := r.server(m.Value, name); ok {
			cfg.Servers = append(cfg.Servers, s)
		}
	}
	if len(members) > 0 && len(cfg.Servers) == 0 && len(r.problems) == 0 {
		r.warn(v, "mcpServers", `remove "disabled": true from one`, "every server is disabled")
	}
}

// switchedOff reports whether a server is disabled. The rest of its entry is
// not looked at: it may refer to what is not there.
func (r *reader) switchedOff(v hujson.Value, path string) bool {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		return false
	}
	off := false
	for _, m := range o.Members {
		if nameOf(m) == "disabled" {
			off = r.boolean(m.Value, join(path, "disabled"))
		}
	}
	return off
}

// server reads one entry; ok is false when it is no object.
func (r *reader) server(v hujson.Value, name string) (s Server, ok bool) {
	path := join("mcpServers", name)
	members, ok := r.object(v, path)
	if !ok {
		return s, false
	}
	s.Name = name
	var kind *hujson.Value
	for i, m := range members {
		key := nameOf(m)
		switch {
		case key == "type":
			kind = &members[i].Value
		case key == "disabled": // read before
		case key == "oauth": // read below, for it depends on the transport
		case key == "limits", key == "circuit_breaker": // read below, for the file has some for all servers
		case !r.member(&s, m.Value, key, join(path, key)):
			r.unknown(m, path, serverKeys[:])
		}
	}
	r.transport(&s, v, kind, path)
	if given(v, "oauth") && s.Transport != Stdio {
		s.OAuth = r.oauth(at(v, "oauth"), join(path, "oauth"))
	}
	s.Limits = r.limits(v, path, r.allLimits).filled()
	s.CircuitBreaker = r.circuitBreaker(v, path, r.allBreaker)
	return s, true
}

// member reads one key of a server and reports whether it is known.
func (r *reader) member(s *Server, v hujson.Value, key, path string) bool {
	switch key {
	case "command":
		s.Command = r.filled(v, path, "write the program's name or path")
	case "args":
		s.Args = r.list(v, path)
	case "env":
		s.Env = r.variables(v, path)
	case "cwd":
		s.Dir = r.text(v, path)
	case "url":
		if s.URL = r.filled(v, path, "write https://host/path"); s.URL != "" {
			r.checkURL(v, path, s.URL)
		}
	case "headers":
		s.Headers = r.headers(v, path)
	case "disabledTools", "disabled_tools":
		s.DisabledTools = append(s.DisabledTools, r.list(v, path)...)
	case "enabledTools", "enabled_tools":
		s.EnabledTools = append(append([]string{}, s.EnabledTools...), r.list(v, path)...)
	case "timeout":
		s.Timeout = r.duration(v, path)
	case "client_header_forwarding":
		s.Forward = r.forwarding(v, path)
	default:
		return false
	}
	return true
}

// transport decides how the server is spoken to and checks that the keys fit.
func (r *reader) transport(s *Server, v hujson.Value, kind *hujson.Value, path string) {
	switch {
	case kind != nil:
		before := len(r.problems)
		t, ok := ParseTransport(r.text(*kind, join(path, "type")))
		if !ok && len(r.problems) == before {
			// As it is in the file, for a reference may stand for a password.
			r.problem(*kind, join(path, "type"), "write stdio, sse or streamable-http", "the type %q is unknown", kind.Value)
		}
		if !ok {
			return
		}
		s.Transport = t
	case has(v, "command"):
		s.Transport = Stdio
	case has(v, "url"):
		s.Transport = Auto
	default:
		r.problem(v, path, `write "command" for a program, or "url" for a server over HTTP`, "the server has neither command nor url")
		return
	}
	switch stdio := s.Transport == Stdio; {
	case stdio && !has(v, "command"):
		r.problem(v, path, `write "command": "…"`, "a stdio server needs a command")
	case stdio && has(v, "url"):
		r.problem(at(v, "url"), join(path, "url"), "keep one of the two", "a stdio server has a command and no url")
	case stdio && given(v, "oauth"):
		r.problem(at(v, "oauth"), join(path, "oauth"), "remove the oauth block", "OAuth is not applicable to stdio servers")
	case !stdio && !has(v, "url"):
		r.problem(v, path, `write "url": "https://…"`, "a server of type %s needs a url", s.Transport)
	case !stdio && has(v, "command"):
		r.problem(at(v, "command"), join(path, "command"), "keep one of the two", "a server of type %s has a url and no command", s.Transport)
	}
}

func has(v hujson.Value, key string) bool {
	return at(v, key).StartOffset != v.StartOffset
}

// given reports whether an object has a key whose value is not null.
func given(v hujson.Value, key string) bool { return has(v, key) && !isNull(at(v, key)) }

// at is the value of an object's key, or the object where there is none.
func at(v hujson.Value, key string) hujson.Value {
	if o, ok := v.Value.(*hujson.Object); ok {
		for _, m := range o.Members {
			if nameOf(m) == key {
				return m.Value
			}
		}
	}
	return v
}

// checkURL checks an address that is not empty.
func (r *reader) checkURL(v hujson.Value, path, s string) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		r.problem(v, path, "write https://host/path", "this is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.problem(v, path, "write https://host/path", "this must be an absolute http or https URL")
	case u.User != nil:
		r.problem(v, path, `write "headers": {"Authorization": "…"}`, "the URL holds a name or password, which would show in logs")
	}
}

// variables reads environment variables.
func (r *reader) variables(v hujson.Value, path string) map[string]string {
	m := r.texts(v, path)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(m[name], "\x00") {
			r.problem(at(v, name), join(path, name), "names are not empty and have no =; neither has a NUL character", "this cannot be an environment variable")
		}
	}
	return m
}

// headers reads header fields, their names in canonical form.
func (r *reader) headers(v hujson.Value, path string) map[string]string {
	m := r.texts(v, path)
	canonical := make(map[string]string, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		key := http.CanonicalHeaderKey(name)
		if _, twice := canonical[key]; twice {
			r.problem(at(v, name), join(path, name), "keep one spelling", "the header %s appears twice", key)
		}
		canonical[key] = m[name]
		if !httpguts.ValidHeaderFieldName(name) {
			r.problem(at(v, name), join(path, name), "names are letters, digits and hyphens", "this is no name of a header")
		} else if !httpguts.ValidHeaderFieldValue(m[name]) {
			r.problem(at(v, name), join(path, name), "take line breaks and control characters out", "the value cannot be sent as a header")
		}
	}
	return canonical
}

func (r *reader) forwarding(v hujson.Value, path string) (f Forwarding) {
	members, ok := r.object(v, path)
	if !ok {
		return f
	}
	for _, m := range members {
		switch key := nameOf(m); key {
		case "enabled":
			f.Enabled = r.boolean(m.Value, join(path, key))
		case "whitelist":
			f.Whitelist = r.list(m.Value, join(path, key))
		case "blacklist":
			f.Blacklist = r.list(m.Value, join(path, key))
		default:
			r.unknown(m, path, []string{"enabled", "whitelist", "blacklist"})
		}
	}
	return f
}
