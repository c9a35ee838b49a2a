package httpapi

import (
	"net/http"

	"mcpo/internal/caller"
	"mcpo/internal/httpapi/pages"
)

// serveDocs shows a document, the root's when m is nil.
func (h *Handler) serveDocs(w http.ResponseWriter, g *Generation, m *mount) {
	page := pages.Docs{Title: or(h.opts.Name, "MCP OpenAPI Proxy"), OpenAPI: h.root + "/openapi.json", Assets: h.root + "/docs/assets/"}
	if m != nil {
		page.Title = h.info(m, m.server.Tools(caller.Shared())).Title
		if m != g.single {
			page.OpenAPI = h.mountPath(m.server.Name()) + "/openapi.json"
		}
	}
	pages.WriteDocs(w, page)
}

// serveIndex shows the servers to people.
func (h *Handler) serveIndex(w http.ResponseWriter, g *Generation) {
	page := pages.Index{
		Title:       or(h.opts.Name, "mcpo"),
		Description: or(h.opts.Description, "MCP servers, served as OpenAPI."),
		Key:         h.opts.Key != "",
	}
	for _, m := range g.servers {
		state := stateOf(m.server.Status(caller.Shared()))
		base := h.mountPath(m.server.Name())
		if m == g.single {
			base = h.root
		}
		page.Servers = append(page.Servers, pages.Server{
			Name: m.server.Name(), State: string(state.State), Reason: state.Reason, Tools: state.Tools,
			Transport: string(m.server.Config().Transport), Docs: base + "/docs", OpenAPI: base + "/openapi.json",
		})
	}
	pages.WriteIndex(w, page)
}

// serveAssets serves the scripts and styles of the documentation.
func (h *Handler) serveAssets(w http.ResponseWriter, r *http.Request, name string) {
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = "/"+name, ""
	h.assets.ServeHTTP(w, inner)
}
