package httpapi

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
)

// pasted begins a login whose address is to be pasted: it gives our page, where
// the browser ended, and what the form sends besides.
func (d *door) pasted() (path, end, csrf, cookie string) {
	d.t.Helper()
	link := d.link("notes")
	path = strings.TrimPrefix(link, d.url)
	csrf, cookie = d.form(link)
	r := d.send(path, url.Values{"csrf": {csrf}}, cookie)
	r.want(d.t, "the page to paste into", http.StatusOK, `name="callback_url"`)
	wantGuarded(d.t, r.header)
	begun, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	cookie += "; " + begun
	_, rest, _ := strings.Cut(r.body, `<a href="`)
	to, rest, _ := strings.Cut(rest, `"`)
	if !strings.HasPrefix(rest, ` target="_blank" rel="noopener noreferrer"`) {
		d.t.Errorf("the link to the login page is followed by %.80s", rest)
	}
	end = d.browse(html.UnescapeString(to), oauthtest.BrowseOptions{StopBefore: true}).URL
	if !strings.HasPrefix(end, "http://localhost:") || !strings.Contains(end, "code=") {
		d.t.Fatalf("the browser ended at %s", end)
	}
	return path, end, csrf, cookie
}

func byHand(o *config.OAuth) { o.UseLoopback = false }

// TestPaste: the address that a browser ended at finishes the login, and one
// without a code is asked for again, in the documented words.
func TestPaste(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: byHand})
	path, end, csrf, cookie := d.pasted()
	for _, wrong := range []string{"", "  ", "http://localhost:3030/callback", "nonsense", "http://localhost:3030/callback?state=x", "%zz", "javascript:alert(1)"} {
		r := d.send(path, url.Values{"csrf": {csrf}, "callback_url": {wrong}}, cookie)
		r.want(t, "pasting "+wrong, http.StatusBadRequest, "No authorization code found. Copy the complete callback URL")
		r.want(t, "pasting "+wrong, http.StatusBadRequest, `name="callback_url"`)
		wantGuarded(t, r.header)
	}
	d.send(path, url.Values{"csrf": {csrf}, "callback_url": {" " + end + "\n"}}, cookie).want(t, "the address", http.StatusOK, "Connected. You can close this tab.")
	d.do("POST", "/notes/whoami", "{}").want(t, "whoami", http.StatusOK, "alice")
	d.send(path, url.Values{"csrf": {csrf}, "callback_url": {end}}, cookie).want(t, "the address again", http.StatusBadRequest, "")
	if n := d.outside.Requests("token"); n != 1 {
		t.Errorf("%d codes were exchanged", n)
	}
}

// TestPasteOfAnother: the address of another login is refused and asked for
// again; the login still waits.
func TestPasteOfAnother(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: byHand})
	path, end, csrf, cookie := d.pasted()
	wrong := strings.Replace(end, "state=", "state=x", 1)
	r := d.send(path, url.Values{"csrf": {csrf}, "callback_url": {wrong}}, cookie)
	r.want(t, "another state", http.StatusBadRequest, "That address belongs to another login")
	r.want(t, "another state", http.StatusBadRequest, `name="callback_url"`)
	d.empty("after another state")
	d.send(path, url.Values{"csrf": {csrf}, "callback_url": {end}}, cookie).want(t, "the right one", http.StatusOK, "Connected.")
}

// TestPasteElsewhere: an address that was stolen, or is put upon somebody, does
// nothing in another browser (threats 2).
func TestPasteElsewhere(t *testing.T) {
	d := openDoor(t, doorSetup{oauth: byHand})
	path, end, csrf, cookie := d.pasted()
	d.send(path, url.Values{"callback_url": {end}}, cookie).want(t, "without the form's token", http.StatusBadRequest, "Open the link again.")
	d.send(path, url.Values{"csrf": {csrf}, "callback_url": {end}}).want(t, "without the cookie", http.StatusBadRequest, "Open the link again.")
	_, second, _, _ := d.pasted()
	d.send(path, url.Values{"csrf": {csrf}, "callback_url": {second}}, cookie).want(t, "of another browser", http.StatusBadRequest, "This login was begun in another browser.")
	d.empty("after pasting elsewhere")
}
