package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/openapi"
)

// document is the document of a view of a server.
func (h *Handler) document(m *mount, v view) *openapi.Document {
	return m.document(v, func(v view) openapi.Info { return h.info(m, v) },
		func(warning string) { h.opts.Log.Warn("tool schema", "server", m.server.Name(), "warning", warning) })
}

// info is a server's part of its document, as mcpo words it.
func (h *Handler) info(m *mount, v view) openapi.Info {
	name, l := m.server.Name(), v.list
	i := openapi.Info{Title: name, Version: "1.0", Secured: h.opts.Key != ""}
	i.ServerURL = h.base(m)
	if v.login {
		i.Login = m.loginOperation()
	}
	if l == nil && m.single {
		i.Description = name + " MCP Server"
		return i
	}
	if l == nil {
		i.Description = name + " MCP Server\n\n- [back to tool list](" + h.root + "/docs)"
		return i
	}
	if l.Info.Name != "" {
		i.Title = l.Info.Name
	}
	if l.Info.Version != "" {
		i.Version = l.Info.Version
	}
	i.Description = l.Info.Instructions
	if i.Description == "" {
		i.Description = i.Title + " MCP Server"
	}
	return i
}

// base is the path of a server, as seen from outside.
func (h *Handler) base(m *mount) string {
	if m.single {
		return h.root + h.prefix
	}
	return h.root + h.prefix + "/" + pathSegment(m.server.Name())
}

// pathSegment is a name as one segment of a path.
func pathSegment(name string) string { return url.PathEscape(name) }

// viewer is whose tools a document shows. Those who are nobody, or not allowed
// to call, see what a caller sees who has not logged in.
func (h *Handler) viewer(r *http.Request, m *mount) caller.ID {
	if !m.personal() {
		return caller.Shared()
	}
	who, _ := h.who(r, m)
	return who.ID
}

// documentPatience is how long a document waits for the tools of a connection that
// is just being opened.
const documentPatience = 5 * time.Second

// readyView is what the viewer is shown. A server that was just started, or that a
// reload has put in the place of another, has no tools for a moment, which is waited
// for. A server with logins is asked first, for a login may have been made
// meanwhile, even by another process. For those who may not call it is not: asking
// may renew a login, or open a connection.
func (h *Handler) readyView(r *http.Request, m *mount) view {
	who := h.viewer(r, m)
	ctx, cancel := context.WithTimeout(r.Context(), documentPatience)
	defer cancel()
	switch {
	case m.logins == nil:
		select {
		case <-m.server.Tried():
		case <-ctx.Done():
		}
	case who != (caller.ID{}) && h.admit(r, h.current.Load(), m) == nil:
		if list, err := m.server.Ready(ctx, who); err == nil {
			return view{list: list}
		}
	}
	return m.viewOf(who) // whatever came, there is a document
}

func (h *Handler) serveServerDocument(w http.ResponseWriter, r *http.Request, m *mount) {
	d := h.document(m, h.readyView(r, m))
	header := w.Header()
	header.Set("ETag", d.ETag)
	header.Set("Cache-Control", "no-cache")
	header.Add("Vary", "Accept-Encoding")
	same := matches(r.Header.Get("If-None-Match"), d.ETag)
	h.opts.Metrics.Document(m.server.Name(), same)
	if same {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := d.JSON
	if len(d.Gzip) > 0 && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		body = d.Gzip
	}
	writeJSON(w, http.StatusOK, body)
}

// matches implements If-None-Match with weak comparison (RFC 9110 §13.1.2).
func matches(ifNoneMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag != "" && tag == etag {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3); q=0 refuses.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if c := strings.TrimSpace(coding); !strings.EqualFold(c, "gzip") && c != "*" {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(params), "q=")
		if !found {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}

// serveRootDocument lists the servers in words: in a configuration each has a
// document of its own.
func (h *Handler) serveRootDocument(w http.ResponseWriter, _ *http.Request, g *Generation) {
	description := or(h.opts.Description, "Automatically generated API from MCP Tool Schemas")
	var list strings.Builder
	for _, m := range g.servers {
		if m.server.Tools(m.first()) != nil || m.logins != nil {
			fmt.Fprintf(&list, "\n    - [%s](%s/docs)", m.server.Name(), h.base(m))
		}
	}
	if list.Len() > 0 {
		description += "\n\n- **available tools**：" + list.String()
	}
	document := rootDocument{OpenAPI: "3.1.0", Paths: struct{}{}}
	document.Info.Title = or(h.opts.Name, "MCP OpenAPI Proxy")
	document.Info.Description = description
	document.Info.Version = or(h.opts.Version, "1.0")
	if h.root != "" {
		document.Servers = []serverURL{{h.root}}
	}
	body, err := json.Marshal(document)
	if err != nil {
		answerOf(err, "", "").write(w)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// rootDocument is an OpenAPI document without operations.
type rootDocument struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		Version     string `json:"version"`
	} `json:"info"`
	Servers []serverURL `json:"servers,omitempty"`
	Paths   struct{}    `json:"paths"`
}

type serverURL struct {
	URL string `json:"url"`
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// serveInstructions hands a server's instructions to Open WebUI's direct
// connections, which ask for them in these two steps.
func (h *Handler) serveInstructions(w http.ResponseWriter, r *http.Request, to route) {
	prompt := ""
	if who := h.viewer(r, to.mount); who != (caller.ID{}) {
		if l := to.mount.server.Tools(who); l != nil {
			prompt = l.Info.Instructions
		}
	}
	var body []byte
	var err error
	if to.kind == kindSystem {
		body, err = json.Marshal(map[string]string{"prompt": prompt})
	} else {
		body, err = json.Marshal(map[string]any{"features": map[string]bool{"system": prompt != ""}})
	}
	if err != nil {
		answerOf(err, to.mount.server.Name(), "").write(w)
		return
	}
	writeJSON(w, http.StatusOK, body)
}
