package config

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"encoding/json"
)

// Config is a whole configuration.
type Config struct {
	// Servers are in the file's order.
	Servers []Server
	// PublicURL is where people reach mcpo; "" when not told.
	PublicURL string
	// Identity and Storage are the blocks of those names, unread.
	Identity, Storage json.RawMessage
	// Warnings are oddities that do not keep mcpo from starting.
	Warnings []Problem
}

// Transport is how a server is spoken to.
type Transport string

// The transports.
const (
	Stdio          Transport = "stdio"
	SSE            Transport = "sse"
	StreamableHTTP Transport = "streamable-http"
	// Auto is a url without a type: streamable HTTP first, then SSE.
	Auto Transport = "auto"
)

// ParseTransport reads a transport in any of its spellings.
func ParseTransport(s string) (Transport, bool) {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) {
	case "stdio":
		return Stdio, true
	case "sse":
		return SSE, true
	case "streamablehttp", "http":
		return StreamableHTTP, true
	}
	return "", false
}

// Server is one entry of mcpServers.
type Server struct {
	Name      string
	Transport Transport
	// Command, Args, Env and Dir describe a program (stdio). Env is laid over
	// mcpo's own environment; Dir "" is mcpo's own folder.
	Command string
	Args    []string
	Env     map[string]string
	Dir     string
	// URL and Headers describe a server over HTTP.
	URL     string
	Headers map[string]string
	// EnabledTools, unless nil, lists the only tools to show; DisabledTools
	// those to hide.
	EnabledTools, DisabledTools []string
	// Timeout bounds a call; 0 stands for the default.
	Timeout time.Duration
	Forward Forwarding
	// OAuth is the oauth block, unread; nil without one.
	OAuth json.RawMessage
}

// Equal reports whether two servers are configured alike, so that a reload may
// keep the connection.
func (s Server) Equal(o Server) bool {
	return s.Name == o.Name && s.Transport == o.Transport && s.Command == o.Command && s.Dir == o.Dir && s.URL == o.URL &&
		s.Timeout == o.Timeout && slices.Equal(s.Args, o.Args) && maps.Equal(s.Env, o.Env) && maps.Equal(s.Headers, o.Headers) &&
		slices.Equal(s.DisabledTools, o.DisabledTools) && slices.Equal(s.EnabledTools, o.EnabledTools) &&
		(s.EnabledTools == nil) == (o.EnabledTools == nil) && s.Forward.equal(o.Forward) && string(s.OAuth) == string(o.OAuth)
}

// Forwarding says which headers of a caller's request go along to the server.
type Forwarding struct {
	Enabled bool
	// Whitelist, unless empty, names the only headers to forward; Blacklist
	// names some to leave out. A name may end in * for all that begin so.
	Whitelist, Blacklist []string
}

func (f Forwarding) equal(o Forwarding) bool {
	return f.Enabled == o.Enabled && slices.Equal(f.Whitelist, o.Whitelist) && slices.Equal(f.Blacklist, o.Blacklist)
}

// Select gives the headers to forward, or nil. Headers that belong to the
// request's own hop never go; credentials, cookies and Open WebUI's user
// headers only where the whitelist names them in full.
func (f Forwarding) Select(h http.Header) http.Header {
	if !f.Enabled {
		return nil
	}
	var selected http.Header
	for name, values := range h {
		if !f.forwards(name) {
			continue
		}
		if selected == nil {
			selected = make(http.Header)
		}
		selected[name] = slices.Clone(values)
	}
	return selected
}

func (f Forwarding) forwards(name string) bool {
	lower := strings.ToLower(name)
	if hopByHop(lower) || matches(f.Blacklist, lower) {
		return false
	}
	if private(lower) {
		return slices.ContainsFunc(f.Whitelist, func(w string) bool { return strings.EqualFold(w, name) })
	}
	return len(f.Whitelist) == 0 || matches(f.Whitelist, lower)
}

func matches(patterns []string, lower string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.ToLower(p)
		start, any := strings.CutSuffix(p, "*")
		return p == lower || any && strings.HasPrefix(lower, start)
	})
}

// hopByHop names what belongs to one hop or one message (RFC 9110 §7.6.1), and
// what the transport to the server sets itself.
func hopByHop(lower string) bool {
	switch lower {
	case "host", "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length", "content-type", "content-encoding", "accept", "accept-encoding", "expect",
		"origin", "referer", "user-agent", "last-event-id":
		return true
	}
	return strings.HasPrefix(lower, "mcp-") || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, "access-control-")
}

func private(lower string) bool {
	return lower == "authorization" || lower == "cookie" || strings.HasPrefix(lower, "x-openwebui-")
}

// Secret is a text that must not be shown. It prints as "[redacted]" in every
// way that Go has of printing.
type Secret string

const redacted = "[redacted]"

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
