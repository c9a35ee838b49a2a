package oauthtest

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

// records is all that the authorization server knows. Server.mu guards it.
type records struct {
	clients   map[string]*client
	questions map[string]*question
	codes     map[string]*code
	access    map[string]*access
	refresh   map[string]*refresh
	people    map[string]string // who signed in, by cookie
	issued    []string          // every access and refresh token
	replays   int               // how often a used refresh token came again
}

type client struct {
	id, secret    string
	name          string // client_name
	method        string // token_endpoint_auth_method, "" for any
	redirects     []string
	anyRedirect   bool
	refreshes     bool // registered for the refresh_token grant
	secretExpires time.Time
}

// question is an authorization request that a person has not answered yet.
type question struct {
	client, name        string // id and what people call it
	redirect, state     string
	challenge, resource string
	scopes              []string
	offline             bool // refresh tokens were asked for as the server wants it
	user                string
}

type code struct {
	question
	expires time.Time
	grant   *grant // once exchanged
}

// grant is what a person gave to a client; all tokens that follow share it.
type grant struct {
	client, user, resource string
	scopes                 []string
	over                   bool
}

type access struct {
	*grant
	scopes  []string
	expires time.Time
}

type refresh struct {
	*grant
	expires  time.Time
	replaced bool // a new one was issued
	used     bool // and this one is no good any more
}

func newRecords(o Options) *records {
	b := &records{clients: map[string]*client{}, questions: map[string]*question{}, codes: map[string]*code{},
		access: map[string]*access{}, refresh: map[string]*refresh{}, people: map[string]string{}}
	for _, c := range o.Clients {
		b.clients[c.ID] = &client{id: c.ID, secret: c.Secret, method: c.Method, redirects: c.RedirectURIs,
			anyRedirect: c.RedirectURIs == nil, refreshes: true}
	}
	return b
}

// newAccess issues an access token. The prefix tells people what they look at.
func (b *records) newAccess(g *grant, scopes []string, expires time.Time) string {
	token := "access-" + rand.Text()
	b.access[token] = &access{grant: g, scopes: scopes, expires: expires}
	b.issued = append(b.issued, token)
	return token
}

func (b *records) newRefresh(g *grant, expires time.Time) string {
	token := "refresh-" + rand.Text()
	b.refresh[token] = &refresh{grant: g, expires: expires}
	b.issued = append(b.issued, token)
	return token
}

// Expire ends all access tokens; refresh tokens stay good.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records.access)
}

// RevokeAll ends all access and refresh tokens, as a person does who withdraws
// what was granted.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records.access)
	clear(s.records.refresh)
}

// Forget loses registrations, questions, codes, tokens and MCP sessions, as a
// restart does. [Server.Tokens] still lists what was issued.
func (s *Server) Forget() {
	s.mu.Lock()
	issued, replays := s.records.issued, s.records.replays
	s.records = newRecords(s.o)
	s.records.issued, s.records.replays = issued, replays
	s.mu.Unlock()
	s.resetMCP()
}

// Tokens lists every access and refresh token that was ever issued.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.issued)
}

// Replays is how often a refresh token came that was used before, with every
// kind of Rotation that has new ones.
func (s *Server) Replays() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.replays
}

// Active tells whether a token, of either kind, would be accepted now.
func (s *Server) Active(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(token, "refresh-") {
		r := s.records.refresh[token]
		return r != nil && !r.over && !r.used && s.now().Before(r.expires)
	}
	a := s.records.access[token]
	return a != nil && !a.over && s.now().Before(a.expires)
}
