package config

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
	"golang.org/x/net/http/httpguts"
)

// Keys that are known, for the hint at one that is not.
var (
	rootKeys   = [...]string{"mcpServers", "public_url", "identity", "storage"}
	serverKeys = [...]string{"command", "args", "env", "cwd", "type", "url", "headers", "disabledTools", "disabled_tools", "enabledTools",
		"enabled_tools", "timeout", "client_header_forwarding", "oauth", "disabled"}
	// foreignKeys are other programs' and silently left to them.
	foreignKeys = [...]string{"$schema", "description", "autoApprove", "alwaysAllow", "transport", "name", "icon"}
	// reserved are mcpo's own routes at the root.
	reserved = [...]string{"", ".", "..", "openapi.json", "docs", "redoc", "oauth", "connections", "healthz", "readyz", "metrics", "favicon.ico"}
)

func (r *reader) root(v hujson.Value, cfg *Config) {
	members, ok := r.object(v, "")
	if !ok {
		return
	}
	found := false
	for _, m := range members {
		switch name := nameOf(m); name {
		case "mcpServers":
			found = true
			r.servers(m.Value, cfg)
		case "public_url":
			cfg.PublicURL = r.httpURL(m.Value, name)
		case "identity":
			cfg.Identity = raw(m.Value)
		case "storage":
			cfg.Storage = raw(m.Value)
		default:
			r.unknown(m, "", rootKeys[:])
		}
	}
	if !found {
		r.problem(v, "mcpServers", example, "there is no mcpServers")
	}
}

func (r *reader) unknown(m hujson.ObjectMember, path string, known []string) {
	name := nameOf(m)
	if slices.Contains(foreignKeys[:], name) {
		return
	}
	hint := "known are " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
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
		if s, enabled := r.server(m.Value, name); enabled {
			cfg.Servers = append(cfg.Servers, s)
		}
	}
}

// server reads one entry; enabled is false when it is switched off.
func (r *reader) server(v hujson.Value, name string) (s Server, enabled bool) {
	path := join("mcpServers", name)
	members, ok := r.object(v, path)
	if !ok {
		return s, false
	}
	s.Name, enabled = name, true
	var kind *hujson.Value
	for i, m := range members {
		key := nameOf(m)
		if key == "type" {
			kind = &members[i].Value
			continue
		}
		if key == "disabled" {
			enabled = !r.boolean(m.Value, join(path, key))
			continue
		}
		if !r.member(&s, m.Value, key, join(path, key)) {
			r.unknown(m, path, serverKeys[:])
		}
	}
	r.transport(&s, v, kind, path)
	return s, enabled
}

// member reads one key of a server and reports whether it is known.
func (r *reader) member(s *Server, v hujson.Value, key, path string) bool {
	switch key {
	case "command":
		s.Command = r.text(v, path)
	case "args":
		s.Args = r.list(v, path)
	case "env":
		s.Env = r.texts(v, path)
	case "cwd":
		s.Dir = r.text(v, path)
	case "url":
		s.URL = r.httpURL(v, path)
	case "headers":
		s.Headers = r.headers(v, path)
	case "disabledTools", "disabled_tools":
		s.DisabledTools = append(s.DisabledTools, r.list(v, path)...)
	case "enabledTools", "enabled_tools":
		s.EnabledTools = append([]string{}, r.list(v, path)...)
	case "timeout":
		s.Timeout = r.duration(v, path)
	case "client_header_forwarding":
		s.Forward = r.forwarding(v, path)
	case "oauth":
		s.OAuth = raw(v)
	default:
		return false
	}
	return true
}

// transport decides how the server is spoken to and checks that the keys fit.
func (r *reader) transport(s *Server, v hujson.Value, kind *hujson.Value, path string) {
	switch {
	case kind != nil:
		spelled := r.text(*kind, join(path, "type"))
		t, ok := ParseTransport(spelled)
		if !ok {
			r.problem(*kind, join(path, "type"), "write stdio, sse or streamable-http", "the type %q is unknown", spelled)
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
	case stdio && s.Command == "":
		r.problem(v, join(path, "command"), "write the program's name or path", "the command is empty")
	case stdio && has(v, "url"):
		r.problem(v, path, "keep one of the two", "the server has both command and url")
	case stdio && s.OAuth != nil:
		r.problem(v, join(path, "oauth"), "remove the oauth block", "OAuth is not applicable to stdio servers")
	case !stdio && !has(v, "url"):
		r.problem(v, path, `write "url": "https://…"`, "a server of type %s needs a url", s.Transport)
	case !stdio && has(v, "command"):
		r.problem(v, path, "keep one of the two", "the server has both url and command")
	}
}

func has(v hujson.Value, key string) bool {
	o, ok := v.Value.(*hujson.Object)
	return ok && slices.ContainsFunc(o.Members, func(m hujson.ObjectMember) bool { return nameOf(m) == key })
}

func (r *reader) httpURL(v hujson.Value, path string) string {
	s := r.text(v, path)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		r.problem(v, path, "write https://host/path", "this is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.problem(v, path, "write https://host/path", "this must be an absolute http or https URL")
	case u.User != nil:
		r.problem(v, path, `write "headers": {"Authorization": "…"}`, "the URL holds a name or password, which would show in logs")
	}
	return s
}

func (r *reader) headers(v hujson.Value, path string) map[string]string {
	m := r.texts(v, path)
	for name, value := range m {
		if !httpguts.ValidHeaderFieldName(name) {
			r.problem(v, join(path, name), "names are letters, digits and hyphens", "this is no name of a header")
		} else if !httpguts.ValidHeaderFieldValue(value) {
			r.problem(v, join(path, name), "take line breaks and control characters out", "the value cannot be sent as a header")
		}
	}
	canonical := make(map[string]string, len(m))
	for name, value := range m {
		canonical[http.CanonicalHeaderKey(name)] = value
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
