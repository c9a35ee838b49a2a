package httpapi

import (
	"net/http"

	"mcpo/internal/httpapi/pages"
	"mcpo/internal/upstream"
)

// serveDocs shows a document, the root's when m is nil. All that a server's
// page loads is below the server's own path, which may be the only one that a
// proxy in front lets through.
func (h *Handler) serveDocs(w http.ResponseWriter, m *mount) {
	base, title := h.root, or(h.opts.Name, "MCP OpenAPI Proxy")
	if m != nil {
		base, title = h.base(m), h.info(m, m.viewOf(m.first())).Title
	}
	pages.WriteDocs(w, pages.Docs{Title: title, OpenAPI: base + "/openapi.json", Assets: base + "/" + assets})
}

// serveIndex shows the servers to people.
func (h *Handler) serveIndex(w http.ResponseWriter, g *Generation) {
	page := pages.Index{
		Title:       or(h.opts.Name, "mcpo"),
		Description: or(h.opts.Description, "MCP servers, served as OpenAPI."),
		Key:         h.opts.Key != "",
	}
	for _, m := range g.servers {
		state := stateOf(m.server.Status(m.first()))
		base := h.base(m)
		s := pages.Server{
			Name: m.server.Name(), State: string(state.State), Reason: state.Reason, Tools: state.Tools,
			Transport: string(m.server.Config().Transport), Path: base, Docs: base + "/docs", OpenAPI: base + "/openapi.json",
		}
		if m.logins != nil {
			s.Login, page.Connections = base+"/login", h.root+"/connections"
		}
		if state.State == upstream.StateLoginRequired {
			s.State, s.Reason = "needs a login", ""
		}
		page.Servers = append(page.Servers, s)
	}
	pages.WriteIndex(w, page)
}

// serveAssets serves the scripts and styles of the documentation.
func (h *Handler) serveAssets(w http.ResponseWriter, r *http.Request, name string) {
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = "/"+name, ""
	h.assets.ServeHTTP(w, inner)
}
