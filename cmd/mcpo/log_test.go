package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// hostile values try to end a line, to start a second attribute, or to drive
// the terminal.
var hostile = []string{
	"a\nlevel=ERROR msg=forged",
	"a\r\nb",
	"\" level=ERROR msg=forged",
	"\x1b[2Jcleared",
	"a\u2028b\u0085c",
}

func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, value := range hostile {
			var out bytes.Buffer
			newLogger(&out, levelCritical, format).Log(t.Context(), levelCritical, value, "tool", value, value, "x")
			text := out.String()
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || strings.ContainsAny(text, "\r\x1b") {
				t.Errorf("%s: %q is logged as %q", format, value, text)
			}
			if format == "text" && strings.Contains(text, " level=ERROR msg=forged\n") {
				t.Errorf("%q forges an attribute: %q", value, text)
			}
			if format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("%q is logged as no JSON: %q", value, text)
			}
		}
	}
}

func TestLevelsAreNamedAsTheFlagNamesThem(t *testing.T) {
	for _, name := range strings.FieldsFunc(levelNames, func(r rune) bool { return r == ',' || r == ' ' }) {
		if name == "or" {
			continue
		}
		level, err := parseLevel(strings.ToLower(name))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		newLogger(&out, level, "json").Log(t.Context(), level, "said", "level", "kept")
		if !strings.Contains(out.String(), `"level":"`+name+`","msg":"said","level":"kept"`) {
			t.Errorf("%s is logged as %s", name, out.String())
		}
	}
}
