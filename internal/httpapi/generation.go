package httpapi

import (
	"cmp"
	"sync"

	"mcpo/internal/caller"
	"mcpo/internal/limit"
	"mcpo/internal/oauth"
	"mcpo/internal/openapi"
	"mcpo/internal/upstream"
)

// Generation is one configuration's servers. A reload makes a new one and
// leaves this as it is.
type Generation struct {
	// Servers are in the configuration's order.
	servers []*mount
	byName  map[string]*mount
	// identify tells callers apart where a server has no keys of its own.
	identify *caller.Identifier
	// single is the one server of `mcpo -- COMMAND`, whose tools are at the
	// root; nil with a configuration file.
	single *mount
}

// Served is a server with the logins of its callers.
type Served struct {
	Server *upstream.Server
	// Logins is nil for a server without.
	Logins *oauth.Authorizer
	// Identify tells its callers apart; nil for what the generation has.
	Identify *caller.Identifier
	// WebUI is where Open WebUI takes lines for its chats, without a slash at its
	// end; "" where it takes none.
	WebUI string
	// Limiter holds each caller to what the server allows, and Breaker spares
	// them a server that only fails; nil for neither.
	Limiter *limit.Limiter[caller.ID]
	Breaker *limit.Breaker[caller.ID]
}

// NewGeneration lends servers to the handler. With single set there is just
// one, and its tools are served at the root. identify tells callers apart; nil
// knows nobody.
func NewGeneration(servers []Served, single bool, identify *caller.Identifier) *Generation {
	if identify == nil {
		identify = caller.NewIdentifier(caller.Options{})
	}
	g := &Generation{byName: make(map[string]*mount, len(servers)), identify: identify}
	for _, s := range servers {
		m := &mount{server: s.Server, logins: s.Logins, identify: cmp.Or(s.Identify, identify), webUI: s.WebUI, limiter: s.Limiter, breaker: s.Breaker}
		g.servers = append(g.servers, m)
		g.byName[s.Server.Name()] = m
	}
	if single && len(servers) == 1 {
		g.single = g.servers[0]
		g.single.single = true
	}
	return g
}

// mount is a server with the documents of its tool lists.
type mount struct {
	server *upstream.Server
	logins *oauth.Authorizer // nil without
	// identify tells the callers of this server apart.
	identify *caller.Identifier
	single   bool                      // its tools are at the root
	webUI    string                    // takes lines for chats; "" without
	limiter  *limit.Limiter[caller.ID] // nil without, as the breaker
	breaker  *limit.Breaker[caller.ID]

	views sync.Map   // view → *openapi.Document
	mu    sync.Mutex // one builds, the others wait for it
	kept  int        // documents in views
}

// personal reports whether each caller has a login of its own.
func (m *mount) personal() bool { return m.logins != nil && m.logins.Config().MultiUser }

// first is the caller whose state stands for the server's where nobody asks:
// all of them, or the person at this machine.
func (m *mount) first() caller.ID {
	if m.personal() {
		return caller.Local()
	}
	return caller.Shared()
}

// maxViews is how many documents of a server are kept: those of callers whose
// tools differ. Most have the same.
const maxViews = 256

// view is what a document shows: a tool list, and the way to log in.
type view struct {
	list  *upstream.ToolList // nil for no tools
	login bool
}

// viewOf is what a caller is shown: the own tools, or before there are any the
// way to log in. Nobody in particular is shown that and the catalogue.
func (m *mount) viewOf(who caller.ID) view {
	if who != (caller.ID{}) {
		list := m.server.Tools(who)
		return view{list, list == nil && m.logins != nil}
	}
	if m.logins.Config().Catalog == "private" {
		return view{nil, true}
	}
	return view{m.server.Catalogue(), true}
}

// document gives the document of a view; it is built once for each tool list.
func (m *mount) document(v view, info func(view) openapi.Info, warn func(string)) *openapi.Document {
	if d, ok := m.views.Load(v); ok {
		return d.(*openapi.Document) //nolint:forcetypeassert // nothing else is stored
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.views.Load(v); ok {
		return d.(*openapi.Document) //nolint:forcetypeassert // nothing else is stored
	}
	d := openapi.Build(info(v), m.toolsOf(v.list, warn))
	for _, w := range d.Warnings {
		warn(w)
	}
	m.makeRoom()
	m.views.Store(v, d)
	m.kept++
	return d
}

// makeRoom drops documents of older lists, while mu is held: all where there is
// one list at a time, and else one in two when there are too many. What is still
// shown is built again.
func (m *mount) makeRoom() {
	if m.logins != nil && m.kept < maxViews {
		return
	}
	drop := m.logins == nil
	m.views.Range(func(v, _ any) bool {
		if drop = !drop || m.logins == nil; drop {
			m.views.Delete(v)
			m.kept--
		}
		return true
	})
}

func (m *mount) toolsOf(list *upstream.ToolList, warn func(string)) []openapi.Tool {
	if list == nil {
		return nil
	}
	tools := make([]openapi.Tool, 0, len(list.Tools))
	for _, t := range list.Tools {
		tool, err := openapi.ParseTool(t.Raw)
		if err != nil {
			warn(err.Error())
			continue
		}
		tools = append(tools, tool)
	}
	return tools
}
