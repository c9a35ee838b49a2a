package config

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// webURL checks an absolute http or https URL with nothing hidden in it; nil
// when it is none.
func (r *reader) webURL(v hujson.Value, path, hint, s string) *url.URL {
	if s == "" { // which was reported, or is what an unset ${VAR:-} gives
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		r.problem(v, path, hint, "this is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.problem(v, path, hint, "this must be an absolute http or https URL")
	case u.User != nil:
		r.problem(v, path, hint, "the URL holds a name or password, which would show in logs")
	case strings.Contains(s, "#"):
		r.problem(v, path, hint, "the URL has a fragment, # and what follows")
	default:
		return u
	}
	return nil
}

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// clientMetadataURL reads the URL of a Client ID Metadata Document, which is an
// https URL with a path (draft-ietf-oauth-client-id-metadata-document §3).
func (r *reader) clientMetadataURL(v hujson.Value, path string) string {
	const hint = "write https://host/path"
	s := r.filled(v, path, hint)
	if u := r.webURL(v, path, hint, s); u != nil && (u.Scheme != "https" || strings.Trim(u.Path, "/") == "" || dotted(u)) {
		r.problem(v, path, hint, "this must be an https URL with a path, without . and .. in it")
	}
	return s
}

func dotted(u *url.URL) bool {
	return slices.ContainsFunc(strings.Split(u.Path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

// resource reads "auto", "off", or an absolute URI (RFC 8707 §2), which need
// not be one of the web's.
func (r *reader) resource(v hujson.Value, path string) string {
	const hint = `write "auto", "off", or a URI such as https://host/mcp`
	s := r.filled(v, path, hint)
	if s == "" || s == "auto" || s == "off" {
		return s
	}
	if u, err := url.Parse(s); err != nil || !u.IsAbs() || u.User != nil || strings.Contains(s, "#") {
		r.problem(v, path, hint, "this must be an absolute URI without a fragment or a password")
	}
	return s
}

// scopes reads a list, or one text with spaces between. An empty text is what an
// unset ${VAR:-} gives, and says nothing; an empty list says that there are none.
func (r *reader) scopes(v hujson.Value, path string) []string {
	if l, ok := v.Value.(hujson.Literal); ok && l.Kind() == '"' {
		var scopes []string
		for s := range strings.FieldsSeq(r.text(v, path)) {
			r.scope(v, path, s)
			scopes = append(scopes, s)
		}
		return scopes
	}
	scopes := r.filledList(v, path)
	for i, s := range scopes {
		r.scope(element(v, i), elementPath(path, i), s)
	}
	return scopes
}

// scope checks one scope (RFC 6749 §3.3).
func (r *reader) scope(v hujson.Value, path, s string) {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if strings.ContainsFunc(s, odd) {
		r.problem(v, path, `write ["one", "two"], or "one two"`, "scopes have no spaces, quotes, backslashes or other letters than ASCII's")
	}
}

// ownParams are the parameters of an authorization request that are mcpo's to
// set, with the key that changes them.
func ownParams() map[string]string {
	const by = "mcpo sets it"
	return map[string]string{"response_type": by, "response_mode": by, "state": by, "code_challenge": by, "code_challenge_method": by,
		"request": "mcpo has no such request", "request_uri": "mcpo has no such request", "client_id": "use client_metadata.client_id",
		"client_secret": "use client_metadata.client_secret", "redirect_uri": "use client_metadata.redirect_uris", "resource": "use resource",
		"scope": "use scopes"}
}

func (r *reader) authorizeParams(v hujson.Value, path string) map[string]string {
	params := r.texts(v, path)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if hint, own := ownParams()[name]; own {
			r.problem(at(v, name), join(path, name), hint, "this parameter cannot be set here")
		} else if name == "" {
			r.problem(at(v, name), path, `write {"access_type": "offline"}`, "a parameter has no name")
		}
	}
	return params
}

// hostName is a name of the domain name system, or near enough.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$`)

// hosts reads names, addresses and networks.
func (r *reader) hosts(v hujson.Value, path string) []string {
	list := r.filledList(v, path)
	for i, s := range list {
		s = strings.ToLower(s)
		if network, err := netip.ParsePrefix(s); err == nil {
			s = network.Masked().String()
		} else if ip, err := netip.ParseAddr(s); err == nil {
			s = ip.String()
		} else if s != "" && !hostName.MatchString(s) {
			r.problem(element(v, i), elementPath(path, i), "write auth.internal, 10.0.0.7 or 10.0.0.0/8, without scheme and port", "this is no host and no network")
		}
		list[i] = s
	}
	return list
}

// oneOf reads one of a few words.
func (r *reader) oneOf(v hujson.Value, path string, words ...string) string {
	before := len(r.problems)
	s := r.text(v, path)
	if len(r.problems) == before && !slices.Contains(words, s) {
		r.problem(v, path, "write "+strings.Join(words, ", "), "this value is unknown")
	}
	return s
}

// number reads a number, or a string that holds one, which is what a reference
// gives.
func (r *reader) number(v hujson.Value, path string) (float64, bool) {
	l, ok := v.Value.(hujson.Literal)
	switch {
	case ok && l.Kind() == '0':
		return l.Float(), true
	case ok && l.Kind() == '"':
		n, err := strconv.ParseFloat(r.expand(v, path, l.String()), 64)
		return n, err == nil
	}
	return 0, false
}

// port reads a TCP port.
func (r *reader) port(v hujson.Value, path string) int {
	n, ok := r.number(v, path)
	if !ok || n < 1 || n > math.MaxUint16 || n != math.Trunc(n) {
		r.problem(v, path, "write one such as 3030", "this must be a port, a number from 1 to 65535")
		return 0
	}
	return int(n)
}

// minutes reads a time in minutes, of at most a year.
func (r *reader) minutes(v hujson.Value, path string) time.Duration {
	const year = 365 * 24 * 60
	n, ok := r.number(v, path)
	d := time.Duration(min(n, year) * float64(time.Minute))
	if !ok || !(n <= year) || d <= 0 {
		r.problem(v, path, "write minutes, such as 30", "this must be a time longer than zero and of at most a year")
		return 0
	}
	return d
}

// filledList reads a list of strings, none of them empty.
func (r *reader) filledList(v hujson.Value, path string) []string {
	before := len(r.problems)
	list := r.list(v, path)
	if len(r.problems) > before {
		return list
	}
	for i, s := range list {
		if s == "" {
			r.problem(element(v, i), elementPath(path, i), "fill it in, or remove it", "this is empty")
		}
	}
	return list
}

// element is the i-th value of a list.
func element(v hujson.Value, i int) hujson.Value {
	if a, ok := v.Value.(*hujson.Array); ok && i < len(a.Elements) {
		return a.Elements[i]
	}
	return v
}

func elementPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
