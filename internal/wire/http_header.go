package wire

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const (
	headerSession  = "Mcp-Session-Id"
	headerProtocol = "Mcp-Protocol-Version"
	headerMethod   = "Mcp-Method"
	headerName     = "Mcp-Name"
	headerLastID   = "Last-Event-Id"

	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// reserved reports whether a header belongs to the transport, so that neither
// a configuration nor a caller's request may set it. name is canonical.
func reserved(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type",
		"Expect", "Host", headerLastID, "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return strings.HasPrefix(name, "Mcp-")
}

// configuredHeader copies h, and leaves out what is the transport's own.
func configuredHeader(h http.Header) http.Header {
	own := make(http.Header, len(h)+8)
	forward(own, h)
	return own
}

// forward puts the headers of from over those in h, except the transport's own.
// An idempotency key goes in lower case: by its usual spelling net/http would
// take the request for one that it may send twice, which is not for it to say.
func forward(h, from http.Header) {
	for name, values := range from {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Idempotency-Key", "X-Idempotency-Key":
			h[strings.ToLower(name)] = values
		default:
			if !reserved(name) {
				h[name] = values
			}
		}
	}
}

// encodeHeaderValue makes any text fit a header: what is not visible ASCII, has
// white space at an end, or looks encoded already is wrapped in base64
// (SEP-2243, "Value encoding").
func encodeHeaderValue(s string) string {
	const prefix, suffix = "=?base64?", "?="
	plain := strings.TrimSpace(s) == s && !(strings.HasPrefix(s, prefix) && strings.HasSuffix(s, suffix))
	for _, c := range []byte(s) {
		plain = plain && ' ' <= c && c <= '~'
	}
	if plain {
		return s
	}
	return prefix + base64.StdEncoding.EncodeToString([]byte(s)) + suffix
}
