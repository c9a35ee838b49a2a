package httpapi

import (
	"sync"
	"sync/atomic"

	"mcpo/internal/caller"
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

// NewGeneration lends servers to the handler. With single set there is just
// one, and its tools are served at the root.
func NewGeneration(servers []*upstream.Server, single bool) *Generation {
	g := &Generation{byName: make(map[string]*mount, len(servers))}
	for _, s := range servers {
		m := &mount{server: s}
		g.servers = append(g.servers, m)
		g.byName[s.Name()] = m
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
	single bool // its tools are at the root
	built  atomic.Pointer[view]
	mu     sync.Mutex // one builds, the others wait for it
}

// view is a document with the tool list that it was built from.
type view struct {
	list     *upstream.ToolList
	document *openapi.Document
}

// document gives the document of the caller's newest tool list; it is built
// once per list. A server that never had one has a document without tools.
func (m *mount) document(who caller.ID, info func(*upstream.ToolList) openapi.Info, warn func(string)) *openapi.Document {
	list := m.server.Tools(who)
	if v := m.built.Load(); v != nil && v.list == list {
		return v.document
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.built.Load(); v != nil && v.list == list {
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
	m.built.Store(&view{list, d})
	return d
}
