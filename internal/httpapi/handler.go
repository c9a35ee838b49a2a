package httpapi

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"mcpo/internal/audit"
	"mcpo/internal/chat"
	"mcpo/internal/config"
	"mcpo/internal/httpapi/pages"
	"mcpo/internal/metrics"
	"mcpo/internal/oauth"
	"mcpo/internal/tracing"
)

// Options say how the handler serves.
type Options struct {
	Key         config.Secret
	StrictAuth  bool
	CORSOrigins []string
	// RootPath is the path under which a proxy shows mcpo, PathPrefix what
	// stands before the servers' names; both as written, normalised here.
	RootPath, PathPrefix string
	// PublicURL is where callers reach mcpo, without a slash at its end; its
	// host is allowed on loopback listeners. Links begin with it.
	PublicURL string
	// Loopback says that the listener is reachable from this machine only.
	Loopback bool
	// Name, Description and Version are those of the root document.
	Name, Description, Version string
	// MaxBody is the largest request body in bytes.
	MaxBody int64
	// BodyTime is how long a request body may take to arrive, 0 for 30 s.
	BodyTime time.Duration
	// Audit is told of each call; nil tells nobody.
	Audit *audit.Log
	// Metrics count calls and documents; nil counts nothing.
	Metrics *metrics.Metrics
	// Chat shows in chats what a person has to do there; nil shows nothing.
	Chat *chat.Poster
	// Tracer begins the spans of calls; nil begins none.
	Tracer *tracing.Tracer
	// Store tells how the store is that replicas share; nil, or an answer of nil,
	// where they share none.
	Store func() *StoreHealth
	Log   *slog.Logger
}

// Handler answers all requests, with the servers of the generation that was
// published last.
type Handler struct {
	opts    Options
	key     *KeyAuth
	cors    *CORS
	root    string // normalised RootPath: "" or "/x"
	prefix  string // normalised PathPrefix: "" or "/x"
	current atomic.Pointer[Generation]
	hopes   hopes
	// draining says that mcpo is about to end.
	draining atomic.Bool
	ids      requestIDs
	assets   http.Handler
	// What strangers can make mcpo write.
	strangeCalls, strangeLogins *pace
}

// New makes the handler with an empty generation, wrapped in its middleware.
func New(o Options) (*Handler, http.Handler) {
	if o.BodyTime <= 0 {
		o.BodyTime = 30 * time.Second
	}
	cors := NewCORS(o.CORSOrigins)
	h := &Handler{opts: o, key: NewKeyAuth(o.Key, o.StrictAuth, cors), cors: cors,
		root: normalise(o.RootPath), prefix: normalise(o.PathPrefix), ids: newRequestIDs(), assets: pages.Assets(), strangeCalls: newPace(), strangeLogins: newPace()}
	h.current.Store(NewGeneration(nil, false, nil))
	open := o.Loopback && o.Key == ""
	return h, h.expectBody(GuardHost(o.Loopback, o.PublicURL, GuardOrigin(open, o.PublicURL, cors, cors.Wrap(h))))
}

// Publish makes a generation the one that serves and returns the one before.
func (h *Handler) Publish(g *Generation) *Generation { return h.current.Swap(g) }

// normalise makes a path prefix begin with a slash and end without.
func normalise(p string) string {
	if p = strings.Trim(p, "/"); p == "" {
		return ""
	}
	return "/" + p
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.current.Load()
	to, ok := h.route(g, r)
	if h.opts.StrictAuth && !to.kind.open() && r.Method != http.MethodOptions {
		if refused := h.admit(r, g, to.mount); refused != nil {
			refused.write(w)
			return
		}
	}
	if !ok || to.kind == kindTool && r.Method != http.MethodPost && !h.hasTool(r, to) {
		say(http.StatusNotFound, "There is nothing at this path. The servers are listed at %s/, their tools in each one's openapi.json.", h.root).write(w)
		return
	}
	if !to.kind.allows(r.Method) {
		refuseMethod(w, r, to.kind)
		return
	}
	switch to.kind {
	case kindTool:
		h.serveCall(w, r, to.mount, to.tool)
	case kindServerDocument:
		h.serveServerDocument(w, r, to.mount)
	case kindRootDocument:
		h.serveRootDocument(w, r, g)
	case kindDocs:
		h.serveDocs(w, to.mount)
	case kindIndex:
		h.serveIndex(w, g)
	case kindAssets:
		h.serveAssets(w, r, to.rest)
	case kindHealth:
		h.serveHealth(w, to, g)
	case kindFeatures, kindSystem:
		h.serveInstructions(w, r, to)
	default:
		h.serveLogins(w, r, g, to)
	}
}

func refuseMethod(w http.ResponseWriter, r *http.Request, k kind) {
	a := say(http.StatusMethodNotAllowed, "This path takes %s, not %s.", k.allowed(), r.Method)
	a.header = http.Header{"Allow": {k.allowed()}}
	a.write(w)
}

// serveLogins answers what is about logins.
func (h *Handler) serveLogins(w http.ResponseWriter, r *http.Request, g *Generation, to route) {
	switch to.kind {
	case kindLogin:
		h.serveLogin(w, r, to.mount)
	case kindStatus:
		h.serveStatus(w, r, to.mount)
	case kindConnect:
		h.serveConnect(w, r, to.mount)
	case kindCallback:
		h.serveCallback(w, r, to.mount)
	case kindClientDocument:
		h.serveClientDocument(w, g)
	case kindConnections:
		h.serveConnections(w, r, g)
	case kindDisconnect:
		h.serveDisconnect(w, r, to.mount)
	}
}

// hasTool tells a tool's path from one where there is nothing, for requests
// that are no calls.
func (h *Handler) hasTool(r *http.Request, to route) bool {
	return h.document(to.mount, to.mount.viewOf(h.viewer(r, to.mount))).Operations[to.tool] != nil
}

func refuse(r *Refusal) *answer {
	return &answer{status: r.Status, detail: r.Detail, header: http.Header{"Www-Authenticate": r.Challenges}}
}

// kind is what a path leads to.
type kind int

const (
	kindNone kind = iota
	kindTool
	kindServerDocument
	kindRootDocument
	kindDocs
	kindAssets
	kindIndex
	kindHealth
	kindFeatures // Open WebUI's question what a direct connection offers
	kindSystem   // the system prompt that it then fetches
	kindLogin    // a caller's way to log in at a server
	kindStatus   // of a caller's login
	kindConnect  // the page behind a link
	kindCallback // where browsers come back to
	kindClientDocument
	kindConnections
	kindDisconnect
)

// open reports whether what is there needs no key before it is known what it is:
// health, what a browser on its way through a login must reach, and what asks by
// itself who comes.
func (k kind) open() bool {
	switch k {
	case kindHealth, kindConnect, kindCallback, kindClientDocument, kindConnections, kindDisconnect, kindLogin:
		return true
	}
	return false
}

func (k kind) allows(method string) bool {
	switch k {
	case kindTool, kindDisconnect:
		return method == http.MethodPost
	case kindCallback: // whoever looks at the head only must not finish a login
		return method == http.MethodGet
	case kindConnect:
		return method == http.MethodGet || method == http.MethodHead || method == http.MethodPost
	}
	return method == http.MethodGet || method == http.MethodHead
}

func (k kind) allowed() string {
	switch k {
	case kindTool, kindDisconnect:
		return http.MethodPost
	case kindCallback:
		return http.MethodGet
	case kindConnect:
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

// assets is where the scripts and styles of the documentation are.
const assets = "docs/assets/"

// route is a path that was understood.
type route struct {
	kind  kind
	mount *mount // the server; nil at the root
	tool  string
	rest  string // what follows, for health and assets
}

// route finds what the path names. Segments are split before they are decoded,
// so that an encoded slash belongs to a name.
func (h *Handler) route(g *Generation, r *http.Request) (route, bool) {
	path := strip(r.URL.EscapedPath(), h.root)
	if found, ok := h.ownRoute(g, path); ok && found.kind.allows(r.Method) {
		return found, true
	}
	inner := strip(path, h.prefix)
	if g.single != nil {
		return serverRoute(g.single, strings.TrimPrefix(inner, "/"), r.Method)
	}
	if h.prefix != "" && inner == path {
		return h.ownRoute(g, path)
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(inner, "/"), "/")
	if name, err := url.PathUnescape(name); err == nil {
		if m := g.byName[name]; m != nil {
			return serverRoute(m, rest, r.Method)
		}
	}
	return h.ownRoute(g, path)
}

// strip takes a prefix of whole segments away, if it is there.
func strip(path, prefix string) string {
	if rest, ok := strings.CutPrefix(path, prefix); ok && prefix != "" && (rest == "" || rest[0] == '/') {
		return rest
	}
	return path
}

// ownRoute knows the routes at the root.
func (h *Handler) ownRoute(g *Generation, path string) (route, bool) {
	switch path = strings.Trim(path, "/"); path {
	case "":
		return route{kind: kindIndex}, true
	case "openapi.json":
		if g.single != nil {
			return route{kind: kindServerDocument, mount: g.single}, true
		}
		return route{kind: kindRootDocument}, true
	case "docs", "redoc":
		return route{kind: kindDocs, mount: g.single}, true
	case "healthz", "readyz":
		return route{kind: kindHealth, rest: path}, true
	}
	if rest, ok := strings.CutPrefix(path, assets); ok {
		return route{kind: kindAssets, rest: rest}, true
	}
	return loginRoute(g, path)
}

// loginRoute knows the routes of logins: oauth/SERVER/… and connections.
func loginRoute(g *Generation, path string) (route, bool) {
	if "/"+path == oauth.DocumentPath {
		return route{kind: kindClientDocument}, true
	}
	area, rest, _ := strings.Cut(path, "/")
	if area == "connections" && rest == "" {
		return route{kind: kindConnections}, true
	}
	name, what, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(name)
	m := g.byName[name]
	if err != nil || m == nil || m.logins == nil {
		return route{}, false
	}
	kinds := map[string]kind{
		"oauth/status": kindStatus, "oauth/authorize": kindConnect, "oauth/callback": kindCallback, "connections/disconnect": kindDisconnect,
	}
	k, ok := kinds[area+"/"+what]
	return route{kind: k, mount: m}, ok
}

// serverRoute knows the routes of one server; rest follows its name. Tools are
// only posted to and pages never are, so a tool may have a page's name.
func serverRoute(m *mount, rest, method string) (route, bool) {
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		return route{kind: kindDocs, mount: m}, true
	}
	if method != http.MethodPost {
		switch rest {
		case "docs", "redoc":
			return route{kind: kindDocs, mount: m}, true
		case "openapi.json":
			return route{kind: kindServerDocument, mount: m}, true
		case "api/config":
			return route{kind: kindFeatures, mount: m}, true
		case "system":
			return route{kind: kindSystem, mount: m}, true
		case "login":
			if m.logins != nil {
				return route{kind: kindLogin, mount: m}, true
			}
		}
		if asset, ok := strings.CutPrefix(rest, assets); ok {
			return route{kind: kindAssets, rest: asset}, true
		}
	}
	tool, err := url.PathUnescape(rest)
	if err != nil || strings.Contains(rest, "/") {
		return route{}, false
	}
	return route{kind: kindTool, mount: m, tool: tool}, true
}
