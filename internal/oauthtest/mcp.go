package oauthtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// protected is the MCP server, and what it opened for its callers.
type protected struct {
	mu      sync.Mutex
	handler http.Handler
	servers []*mcp.Server // one for each MCP session
}

func adminScope(o Options) string { return cmp.Or(o.AdminScope, "admin") }

// serveMCP lets in who has a token for this very server.
func (s *Server) serveMCP(w http.ResponseWriter, r *http.Request, o Options) {
	if o.SlashRedirect && !strings.HasSuffix(r.URL.Path, "/") {
		http.Redirect(w, r, r.URL.Path+"/", http.StatusTemporaryRedirect)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	stranger := r.Header.Get("Authorization") == ""
	held := s.holder(r)
	switch {
	case stranger && o.LazyAuth && !calls(body, ""):
		s.sdk().ServeHTTP(w, r)
	case stranger:
		s.challenge(w, r, o, http.StatusUnauthorized, "", o.ChallengeScope)
	case held == nil || o.NeverAccept:
		s.challenge(w, r, o, http.StatusUnauthorized, "invalid_token", o.ChallengeScope)
	case calls(body, "admin") && (o.NeverEnough || !slices.Contains(held.scopes, adminScope(o))):
		s.challenge(w, r, o, http.StatusForbidden, "insufficient_scope", adminScope(o))
	default:
		// The SDK's own middleware ties an MCP session to the person who opened it.
		verify := func(context.Context, string, *http.Request) (*auth.TokenInfo, error) {
			return &auth.TokenInfo{UserID: held.user, Scopes: held.scopes}, nil
		}
		o := &auth.RequireBearerTokenOptions{AllowMissingExpiration: true}
		auth.RequireBearerToken(verify, o)(s.sdk()).ServeHTTP(w, r)
	}
}

// holder is what the token of r stands for, nil if it is not good.
func (s *Server) holder(r *http.Request) *access {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.records.access[token]
	if !strings.EqualFold(kind, "Bearer") || held == nil || held.over || !s.now().Before(held.expires) {
		return nil
	}
	if held.resource != s.resourceAt(r.URL.Path) {
		return nil
	}
	return held
}

// sdk is the handler of the SDK, which a Forget replaces.
func (s *Server) sdk() http.Handler {
	s.mcp.mu.Lock()
	defer s.mcp.mu.Unlock()
	return s.mcp.handler
}

// challenge refuses and says what would help (RFC 6750 §3, RFC 9728 §5.1).
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, o Options, status int, code, scope string) {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, fmt.Sprintf("%s=%q", name, value))
		}
	}
	add("error", code)
	add("scope", scope)
	if !o.BareChallenge && !o.NoResourceMetadata && !o.ResourceAtRoot {
		path := strings.TrimPrefix(s.resourceAt(r.URL.Path), s.mcpOrigin)
		add("resource_metadata", cmp.Or(o.ChallengeMetadata, s.mcpOrigin+resourceMetadata+path))
	}
	if o.OtherChallenge != "" {
		w.Header().Add("WWW-Authenticate", o.OtherChallenge)
	}
	if !o.NoChallenge {
		w.Header().Add("WWW-Authenticate", strings.TrimSpace("Bearer "+strings.Join(params, ", ")))
	}
	http.Error(w, cmp.Or(code, "a token is needed"), status)
}

// calls tells whether a message calls a tool: that one, or any when it is empty.
func calls(body []byte, tool string) bool {
	var m struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	return json.Unmarshal(body, &m) == nil && m.Method == "tools/call" && (tool == "" || m.Params.Name == tool)
}

// ForgetSessions ends all MCP sessions, as a restart of the MCP server alone
// does. Tokens stay good.
func (s *Server) ForgetSessions() { s.resetMCP() }

// resetMCP ends all MCP sessions and starts over.
func (s *Server) resetMCP() {
	s.mcp.close()
	open := func(r *http.Request) *mcp.Server {
		user := ""
		if who := auth.TokenInfoFromContext(r.Context()); who != nil {
			user = who.UserID
		}
		return s.mcp.open(user, s.options().Tools)
	}
	s.mcp.mu.Lock()
	defer s.mcp.mu.Unlock()
	if s.sse {
		s.mcp.handler = mcp.NewSSEHandler(open, nil)
		return
	}
	s.mcp.handler = mcp.NewStreamableHTTPHandler(open, nil)
}

// open makes the server of one MCP session.
func (p *protected) open(user string, more func(string, *mcp.Server)) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "oauthtest", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Answers with the name of the person who signed in."}, whoami(user))
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Answers with the sum of two numbers."}, add)
	mcp.AddTool(server, &mcp.Tool{Name: "admin", Description: "Answers to those who were granted more than the usual."}, whoami(user))
	if more != nil {
		more(user, server)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = append(p.servers, server)
	return server
}

func (p *protected) close() {
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	for _, server := range servers {
		for session := range server.Sessions() {
			_ = session.Close()
		}
	}
}

type nothing struct{}

// whoami names whose token carried the call. The SDK does not say that over
// SSE, where it is who opened the MCP session.
func whoami(opener string) mcp.ToolHandlerFor[nothing, any] {
	return func(_ context.Context, r *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, any, error) {
		user := opener
		if r.Extra != nil && r.Extra.TokenInfo != nil {
			user = r.Extra.TokenInfo.UserID
		}
		return text(user), nil, nil
	}
}

type summands struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

func add(_ context.Context, _ *mcp.CallToolRequest, in summands) (*mcp.CallToolResult, any, error) {
	return text(fmt.Sprint(in.A + in.B)), nil, nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
