package openapi

import (
	"regexp"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// pattern is a compiled regular expression. Go's engine runs in linear time,
// so no pattern can be made to run for ever.
type pattern struct {
	text string
	re   *regexp.Regexp // nil matches everything
}

// compilePattern compiles an ECMA-262 expression as far as Go knows it. What
// it does not know (look-around, back references) matches everything: the
// server checks again.
func compilePattern(text string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return pattern{text: text}, nil
	}
	return pattern{text, re}, nil
}

// MatchString implements jsonschema.Regexp.
func (p pattern) MatchString(s string) bool { return p.re == nil || p.re.MatchString(s) }

// String implements jsonschema.Regexp.
func (p pattern) String() string { return p.text }
