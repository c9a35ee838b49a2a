// Package pages holds what people see in a browser: the list of servers and
// the documentation on which tools can be tried. Pages come whole from this
// process, with nothing from elsewhere, and say so in their Content Security
// Policy.
package pages

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"strconv"

	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"
)

var (
	//go:embed *.html
	files embed.FS

	templates = template.Must(template.ParseFS(files, "*.html"))
)

// Index is the page at GET /.
type Index struct {
	Title, Description string
	Servers            []Server
	// Connections is the path of a person's logins, empty without any.
	Connections string
	// Key says that calls need the key.
	Key bool
	// Nonce is filled in by WriteIndex.
	Nonce string
}

// Server is one server on the index.
type Server struct {
	Name string
	// State is a word such as "connected", Reason why it is another.
	State, Reason string
	Transport     string
	Tools         int
	// Path is where the server's tools are, empty for the root; Docs and
	// OpenAPI are URL paths too.
	Path, Docs, OpenAPI string
	// Login is where a person logs in, empty where nobody does.
	Login string
}

// Docs is the documentation of one OpenAPI document.
type Docs struct {
	Title string
	// OpenAPI is the document's URL path, Assets that of the page's scripts
	// and styles, with a slash at its end.
	OpenAPI, Assets string
	// Nonce is filled in by WriteDocs.
	Nonce string
}

// WriteIndex answers with the list of servers. It works without scripts.
func WriteIndex(w http.ResponseWriter, p Index) {
	p.Nonce = rand.Text()
	render(w, http.StatusOK, "index.html", p, plain(p.Nonce, "'none'"), noReferrer)
}

// WriteDocs answers with a page on which a document can be read and its
// operations called. (Swagger UI sets styles by script, hence unsafe-inline.)
func WriteDocs(w http.ResponseWriter, p Docs) {
	p.Nonce = rand.Text()
	render(w, http.StatusOK, "docs.html", p, "default-src 'none'; script-src 'self' 'nonce-"+p.Nonce+"'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'", noReferrer)
}

// plain is the policy of a page without scripts whose forms go to targets.
func plain(nonce, targets string) string {
	return "default-src 'none'; style-src 'nonce-" + nonce + "'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action " + targets
}

// noReferrer is the Referrer-Policy of pages without forms.
const noReferrer = "no-referrer"

func render(w http.ResponseWriter, status int, name string, data any, policy, referrer string) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", referrer)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a browser that went away needs no page
}

// Assets serves the scripts and styles of the documentation, by the last
// segments of their path.
func Assets() http.Handler {
	files := statigz.FileServer(static.FS)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "max-age=86400")
		files.ServeHTTP(w, r)
	})
}
