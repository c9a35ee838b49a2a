package httpapi

import (
	"sync"
	"sync/atomic"

	"mcpo/internal/caller"
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
	// single is the one server of `mcpo -- COMMAND`, whose tools are at the
	// root; nil with a configuration file.
	single *mount
}

// Served is a server with the logins of its callers.
type Served struct {
	Server *upstream.Server
	// Logins is nil for a server without.
	Logins *oauth.Authorizer
}

// NewGeneration lends servers to the handler. With single set there is just
// one, and its tools are served at the root.
func NewGeneration(servers []Served, single bool) *Generation {
	g := &Generation{byName: make(map[string]*mount, len(servers))}
	for _, s := range servers {
		m := &mount{server: s.Server, logins: s.Logins}
		g.servers = append(g.servers, m)
		g.byName[s.Server.Name()] = m
	}
	if single && len(servers) == 1 {
		g.single = g.servers[0]
		g.single.single = true
	}
	return g
}

// mount is a server with the document of its newest tool list.
type mount struct {
	server *upstream.Server
	logins *oauth.Authorizer    // nil without
	single bool                 // its tools are at the root
	built  atomic.Pointer[view] // of the newest tool list
	bare   atomic.Pointer[view] // without tools
	mu     sync.Mutex           // one builds, the others wait for it
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

// view is a document with the tool list that it was built from.
type view struct {
	list     *upstream.ToolList
	document *openapi.Document
}

// document gives the document of the caller's newest tool list; it is built
// once per list. A server that never had one has a document without tools.
func (m *mount) document(who caller.ID, info func(*upstream.ToolList) openapi.Info, warn func(string)) *openapi.Document {
	var list *upstream.ToolList
	if who != (caller.ID{}) {
		list = m.server.Tools(who)
	}
	built := &m.built
	if list == nil {
		built = &m.bare
	}
	if v := built.Load(); v != nil && v.list == list {
		return v.document
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := built.Load(); v != nil && v.list == list {
		return v.document
	}
	var tools []openapi.Tool
	if list != nil {
		tools = make([]openapi.Tool, 0, len(list.Tools))
		for _, t := range list.Tools {
			tool, err := openapi.ParseTool(t.Raw)
			if err != nil {
				warn(err.Error())
				continue
			}
			tools = append(tools, tool)
		}
	}
	d := openapi.Build(info(list), tools)
	for _, w := range d.Warnings {
		warn(w)
	}
	built.Store(&view{list, d})
	return d
}
