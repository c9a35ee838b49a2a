package oauthtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// policy is form-action of a page's Content-Security-Policy: where its forms,
// and the redirects that answer them, may lead.
type policy struct {
	limited bool
	self    string // the page's origin
	sources []string
}

func policyOf(header http.Header, page *url.URL) policy {
	p := policy{self: originOf(page)}
	for _, directive := range strings.Split(header.Get("Content-Security-Policy"), ";") {
		words := strings.Fields(directive)
		if len(words) > 0 && strings.EqualFold(words[0], "form-action") {
			p.limited, p.sources = true, words[1:]
		}
	}
	return p
}

// allows tells whether a form may lead to u.
func (p policy) allows(u *url.URL) bool {
	return !p.limited || slices.ContainsFunc(p.sources, func(source string) bool {
		switch source {
		case "'self'":
			return originOf(u) == p.self
		case "*", u.Scheme + ":":
			return true
		}
		return strings.TrimSuffix(source, "/") == originOf(u)
	})
}
