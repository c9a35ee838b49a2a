package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Config is a whole configuration.
type Config struct {
	// Servers are in the file's order.
	Servers []Server
	// PublicURL is where people reach mcpo; "" when not told.
	PublicURL string
	Identity  Identity
	Storage   Storage
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
	// OAuth is nil without an oauth block.
	OAuth *OAuth
	// Limits and CircuitBreaker are the server's own, with what the file says for
	// all servers in place of what the entry does not.
	Limits         Limits
	CircuitBreaker CircuitBreaker
}

// Equal reports whether two servers are configured alike, so that a reload may
// keep the connection. Of that Limits and CircuitBreaker say nothing: they may
// differ.
func (s Server) Equal(o Server) bool {
	return s.Name == o.Name && s.Transport == o.Transport && s.Command == o.Command && s.Dir == o.Dir && s.URL == o.URL &&
		s.Timeout == o.Timeout && slices.Equal(s.Args, o.Args) && maps.Equal(s.Env, o.Env) && maps.Equal(s.Headers, o.Headers) &&
		slices.Equal(s.DisabledTools, o.DisabledTools) && slices.Equal(s.EnabledTools, o.EnabledTools) &&
		(s.EnabledTools == nil) == (o.EnabledTools == nil) && s.Forward.equal(o.Forward) && reflect.DeepEqual(s.OAuth, o.OAuth)
}
