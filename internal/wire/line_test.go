package wire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"no such tool":                       "no such tool",
		" two\r\nlines\t":                    "two  lines",
		"a\x00b\x1b[31mc\u202ed\u200be":      "ab[31mcde",
		"bad \xff byte":                      "bad  byte",
		"you sent Bearer t0ken, a wrong one": "you sent Bearer [redacted] a wrong one",
		"authorization: bearer\n t0ken":      "authorization: Bearer [redacted]",
		"Bea\u200brer t0ken":                 "Bearer [redacted]",
		strings.Repeat("x", 40):              strings.Repeat("x", 40),
		strings.Repeat("x", 41):              strings.Repeat("x", 40) + "…",
		strings.Repeat("€", 20):              strings.Repeat("€", 13) + "…",
		strings.Repeat(" ", 500) + "x":       "…",
	} {
		if got := Line(text, 40); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestRPCErrorIsBrief: callers get a server's message whole, and logs a line.
func TestRPCErrorIsBrief(t *testing.T) {
	e := &RPCError{Code: -32603, Message: "bad token Bearer t0ken\n" + strings.Repeat("€", 1<<20)}
	said := e.Error()
	if len(said) > lineMax+50 || !utf8.ValidString(said) || strings.ContainsAny(said, "\n") || strings.Contains(said, "t0ken") || !strings.HasSuffix(said, " (JSON-RPC -32603)") {
		t.Errorf("%d bytes: %.400s", len(said), said)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("Bearer t0ken", 5)
	f.Add("\xff\u202e€", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		n = max(1, n%1000)
		if got := Line(text, n); len(got) > n+len("…") || !utf8.ValidString(got) {
			t.Errorf("%d bytes for %d: %q", len(got), n, got)
		}
	})
}
