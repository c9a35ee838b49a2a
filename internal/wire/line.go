package wire

import (
	"regexp"
	"strings"
	"unicode"
)

// lineMax is how many bytes of a server's words are shown in one error.
const lineMax = 300

// bearer finds an access token that a server repeats as it was sent (RFC 6750
// §2.1).
var bearer = regexp.MustCompile(`(?i)\bbearer\s+\S+`)

// Line makes a server's text fit for logs: one line without control and
// direction characters and without access tokens, at most n bytes and a mark
// where it was cut.
func Line(text string, n int) string {
	cut := len(text) > 4*n
	if cut {
		text = text[:4*n]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = bearer.ReplaceAllString(strings.TrimSpace(text), "Bearer [redacted]")
	if len(text) > n {
		text, cut = strings.ToValidUTF8(text[:n], ""), true
	}
	if cut {
		text += "…"
	}
	return text
}
