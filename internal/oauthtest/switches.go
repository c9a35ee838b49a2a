package oauthtest

import (
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Options says how the servers behave. The zero value is a strict, well-behaved
// pair on one origin. The fields of the first group are read once, at the start;
// all others may change while running, see [Server.Set].
type Options struct {
	// Addr is where to listen, "127.0.0.1:0" when empty.
	Addr string
	// Host is the name in every URL, "127.0.0.1" when empty.
	Host string
	// Public and PublicOther are the two origins as others know them, such as
	// "http://127.0.0.1:8080" of a proxy in between; where the server listens
	// itself when empty.
	Public, PublicOther string
	// IssuerPath puts a path into the issuer, such as "/tenant".
	IssuerPath string
	// SeparateOrigin moves the authorization server to an origin of its own.
	SeparateOrigin bool
	// SSE serves MCP over the SSE transport at /sse instead of streamable HTTP
	// at /mcp.
	SSE bool
	// Clients are registered by hand before the start, and again by Forget.
	Clients []Client
	// Tools adds a user's own tools to whoami, add and admin, when that user
	// opens an MCP session.
	Tools func(user string, s *mcp.Server)
	// Now is the clock, time.Now when nil.
	Now func() time.Time
	// DocumentClient fetches client ID metadata documents, http.DefaultClient
	// when nil.
	DocumentClient *http.Client

	// Redirects makes an endpoint (named as for Requests) answer 307 to a
	// place where it works: on the same origin or on another one.
	Redirects map[string]Redirect
	// Instead replaces an endpoint's answers.
	Instead map[string]Answer
	// Lose makes an endpoint do its work and lose so many answers, as a network
	// does: the connection ends without one.
	Lose map[string]int

	// LazyAuth lets everyone in until they call a tool.
	LazyAuth bool
	// NeverAccept answers 401 whatever token comes.
	NeverAccept bool
	// OtherChallenge is one more WWW-Authenticate, before the usual one.
	OtherChallenge string
	// NoChallenge leaves WWW-Authenticate out of a 401 and a 403.
	NoChallenge bool
	// BareChallenge leaves resource_metadata out of WWW-Authenticate.
	BareChallenge bool
	// ChallengeMetadata is named as resource_metadata in place of the true URL.
	ChallengeMetadata string
	// ChallengeScope is the scope that a 401 asks for.
	ChallengeScope string
	// AdminScope is the scope that the tool admin needs, "admin" when empty.
	AdminScope string
	// NeverEnough answers 403 insufficient_scope to the tool admin, whatever
	// was granted.
	NeverEnough bool
	// SlashRedirect answers 307 from the MCP endpoint to the same with a slash.
	SlashRedirect bool

	// NoResourceMetadata: there is none (RFC 9728), and no challenge names it.
	NoResourceMetadata bool
	// ResourceAtRoot serves resource metadata at the root of the well-known
	// paths only, and names it in no challenge.
	ResourceAtRoot bool
	// Resource overrides members of the resource metadata; nil removes one.
	Resource map[string]any

	// Metadata is where the authorization server's metadata is found.
	Metadata Place
	// HTMLForUnknown answers unknown paths with a page and status 200, as
	// single-page applications do, in place of 404.
	HTMLForUnknown bool
	// IssuerSlash ends the metadata's issuer with a slash that the resource
	// metadata does not have.
	IssuerSlash bool
	// PKCEMethods is code_challenge_methods_supported, S256 when nil. When it
	// is empty the member is left out, and PKCE is not asked for.
	PKCEMethods []string
	// NoRegistration: clients are not registered dynamically.
	NoRegistration bool
	// NoRevocation: there is no revocation endpoint.
	NoRevocation bool
	// ClientDocuments accepts URLs of client ID metadata documents.
	ClientDocuments bool
	// Override overrides members of the metadata; nil removes one.
	Override map[string]any

	// RefuseScope refuses a registration that has scope, even an empty one.
	RefuseScope bool
	// NativeOnly refuses loopback redirect URIs unless application_type is native.
	NativeOnly bool
	// RefuseEmpty refuses a registration with an empty string or list.
	RefuseEmpty bool
	// AuthMethod is what a registration answers as token_endpoint_auth_method,
	// in place of the one that was asked for.
	AuthMethod string
	// SecretTTL is how long a secret lives, for ever when 0. A secret with a
	// negative TTL has expired when it is issued.
	SecretTTL time.Duration
	// RegisteredRedirects is what a registration answers (and means) as
	// redirect_uris, in place of those that were asked for.
	RegisteredRedirects []string
	// Registration overrides members of a registration's answer; nil removes one.
	Registration map[string]any
	// RegisterStatus is the status of a registration, 201 when 0.
	RegisterStatus int

	// AutoApprove skips the pages: everyone is User and approves.
	AutoApprove bool
	// User is who approves with AutoApprove, "alice" when empty.
	User string
	// AuthorizeError is the error that every authorization ends with.
	AuthorizeError string
	// ErrorDescription is the error_description of AuthorizeError.
	ErrorDescription string
	// Iss is how redirects name the issuer (RFC 9207).
	Iss Iss
	// State replaces the state in redirects back, when not empty.
	State string

	// AccessTTL, RefreshTTL and CodeTTL are how long things live: 1 hour, 30
	// days and 1 minute when 0.
	AccessTTL, RefreshTTL, CodeTTL time.Duration
	// Rotation is what becomes of a refresh token that was used.
	Rotation Rotation
	// NoRefreshTokens issues none.
	NoRefreshTokens bool
	// OfflineAccess issues refresh tokens only with the scope offline_access,
	// which the authorization server's metadata lists.
	OfflineAccess bool
	// RefreshWith issues refresh tokens only if the authorization request had
	// this parameter, such as "access_type=offline".
	RefreshWith string
	// GrantErrorStatus is the status of invalid_grant, 400 when 0.
	GrantErrorStatus int
	// ExpiresIn is the shape of expires_in.
	ExpiresIn Shape
	// TokenType is token_type, "Bearer" when empty.
	TokenType string
	// GrantedScope is what is granted in place of what was asked for.
	GrantedScope string
	// RefreshedScope is what a refresh grants, less than before.
	RefreshedScope string
	// Token overrides members of token answers; nil removes one.
	Token map[string]any
	// OptionalResource accepts requests without resource (RFC 8707).
	OptionalResource bool
	// RefuseResource refuses requests with resource, as some servers do.
	RefuseResource bool
	// ErrorsAreOK answers errors of the token endpoint with status 200.
	ErrorsAreOK bool
	// FormEncoded answers tokens as a form in place of JSON.
	FormEncoded bool
	// InvalidClient refuses every client at the token endpoint.
	InvalidClient bool
}

// Client is a client registered by hand.
type Client struct {
	// ID and Secret are its credentials; without a secret it is public.
	ID, Secret string
	// Method is how it authenticates: none, client_secret_basic or
	// client_secret_post. Empty is any that fits Secret.
	Method string
	// RedirectURIs are those it may use; nil is any.
	RedirectURIs []string
}

// Answer is what an endpoint answers whatever it is asked.
type Answer struct {
	// Status is 200 when 0.
	Status int
	// Header is added to the answer.
	Header http.Header
	// Body is the answer.
	Body string
	// Pad lengthens Body with so many spaces.
	Pad int
	// Times is how often; after that the endpoint works. 0 is always.
	Times int
}

// Redirect is where an endpoint has moved to.
type Redirect int

// The ways to move.
const (
	SameOrigin Redirect = iota + 1
	CrossOrigin
)

// Place is where the authorization server's metadata is found.
type Place int

// The places. At all others a request finds nothing.
const (
	// RFC8414 is /.well-known/oauth-authorization-server + issuer's path.
	RFC8414 Place = iota
	// OIDCInserted is /.well-known/openid-configuration + issuer's path.
	OIDCInserted
	// OIDCAppended is issuer's path + /.well-known/openid-configuration.
	OIDCAppended
	// Nowhere: there is no metadata, and /authorize, /token and /register are
	// at the root, as in the MCP specification of 2025-03-26.
	Nowhere
)

// Iss is how redirects name the issuer.
type Iss int

// The ways to name it.
const (
	IssAdvertised   Iss = iota // advertised and sent
	IssUnadvertised            // sent without having been advertised
	IssNone                    // neither
	IssMissing                 // advertised and not sent
	IssWrong                   // another issuer
	IssNormalised              // the issuer with its scheme in capitals: equal as a URL, not as text
)

// Rotation is what becomes of a refresh token that was used.
type Rotation int

// The kinds of rotation.
const (
	RotateStrictly Rotation = iota // a new one; using the old one again ends the whole grant
	RotateKindly                   // a new one; the old one goes on working
	RepeatToken                    // the same one is answered
	OmitToken                      // none is answered, the old one goes on working
)

// Shape is how expires_in is written.
type Shape int

// The shapes.
const (
	AsNumber Shape = iota
	AsString
	Missing
)
