package oauth

import (
	"net/http"
	"strings"
)

// Challenge is what a server says in WWW-Authenticate about the token that it
// wants (RFC 6750 §3, RFC 9728 §5.1). Members that it did not say are empty.
type Challenge struct {
	ResourceMetadata string   // URL of the resource's metadata
	Scopes           []string // that the request needs; at most 100
	Error            string   // for example "insufficient_scope"
}

// ParseChallenge finds the Bearer challenge among the values of
// WWW-Authenticate (RFC 9110 §11.6.1). ok is false when there is none.
func ParseChallenge(h http.Header) (c Challenge, ok bool) {
	for _, value := range h.Values("Www-Authenticate") {
		if len(value) > 8<<10 {
			continue
		}
		for scheme, params := range challenges(value) {
			if !strings.EqualFold(scheme, "Bearer") || ok {
				continue
			}
			ok = true
			c = Challenge{ResourceMetadata: params["resource_metadata"], Scopes: limited(strings.Fields(params["scope"])), Error: params["error"]}
		}
	}
	return c, ok
}

// challenges yields scheme after scheme with its parameters, their names in
// lower case. Of two parameters with one name the first counts.
func challenges(s string) func(yield func(string, map[string]string) bool) {
	return func(yield func(string, map[string]string) bool) {
		scheme, params := "", map[string]string{}
		for s = skip(s); s != ""; s = skip(s) {
			word, rest := token(s)
			if word == "" { // what no token begins is passed over
				s = s[1:]
				continue
			}
			if value, after, isParam := parameter(rest); isParam && scheme != "" {
				if name := strings.ToLower(word); params[name] == "" {
					params[name] = value
				}
				s = after
				continue
			}
			if scheme != "" && !yield(scheme, params) {
				return
			}
			scheme, params, s = word, map[string]string{}, rest
		}
		if scheme != "" {
			yield(scheme, params)
		}
	}
}

// parameter reads "=value" after a name; a token68 with its padding is none.
func parameter(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, "=") {
		return "", "", false
	}
	s = strings.TrimLeft(s[1:], " \t")
	if strings.HasPrefix(s, `"`) {
		return quoted(s)
	}
	value, rest = token(s)
	return value, rest, true
}

// quoted reads a quoted-string (RFC 9110 §5.6.4), to its end if it has none.
func quoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", true
}

// token reads a token (RFC 9110 §5.6.2), and the / of a token68 and of the URLs
// that some servers write without quotes.
func token(s string) (word, rest string) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] < 0x7f && !strings.ContainsRune(`",=`, rune(s[i])) {
		i++
	}
	return s[:i], s[i:]
}

func skip(s string) string { return strings.TrimLeft(s, " \t,=") }
