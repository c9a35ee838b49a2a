package config

import (
	"net/http"
	"slices"
	"strings"
)

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

// Select gives the headers to forward, or nil. What belongs to the request's
// own hop never goes (RFC 9110 §7.6.1); credentials, cookies, Open WebUI's user
// headers and what describes the caller's program go only where the whitelist
// names them in full.
func (f Forwarding) Select(h http.Header) http.Header {
	if !f.Enabled {
		return nil
	}
	var selected http.Header
	for name, values := range h {
		if !f.forwards(name) || namedByConnection(h, name) {
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
	if ownHop(lower) || matches(f.Blacklist, lower) {
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
		start, open := strings.CutSuffix(p, "*")
		return p == lower || open && strings.HasPrefix(lower, start)
	})
}

// namedByConnection reports whether the sender declared the header to be for
// this hop alone.
func namedByConnection(h http.Header, name string) bool {
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}

// ownHop names what belongs to one hop or one message, and what the transport
// to the server sets itself.
func ownHop(lower string) bool {
	switch lower {
	case "host", "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length", "content-type", "content-encoding", "accept", "accept-encoding", "expect",
		"last-event-id":
		return true
	}
	return strings.HasPrefix(lower, "mcp-") || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, "access-control-")
}

// private names what says who the caller is, or with which program and from
// which page it asks.
func private(lower string) bool {
	switch lower {
	case "authorization", "cookie", "origin", "referer", "user-agent":
		return true
	}
	return strings.HasPrefix(lower, "x-openwebui-")
}
