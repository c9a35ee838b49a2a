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

// dropPatterns takes out of a schema what depends on expressions that Go does
// not know. For patternProperties, matching everything would be strict instead
// of lenient, so they go with what they leave over.
func dropPatterns(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, e := range s {
			dropPatterns(e)
		}
	case map[string]any:
		if patterns, ok := s["patternProperties"].(map[string]any); ok && !allCompile(patterns) {
			for _, name := range []string{"patternProperties", "additionalProperties", "unevaluatedProperties"} {
				delete(s, name)
			}
		}
		for name, e := range s {
			switch name {
			case "enum", "const", "default", "examples": // values, not schemas
			default:
				dropPatterns(e)
			}
		}
	}
}

func allCompile(patterns map[string]any) bool {
	for text := range patterns {
		if _, err := regexp.Compile(text); err != nil {
			return false
		}
	}
	return true
}
