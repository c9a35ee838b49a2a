package openapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestLargeBodies: what a body of a few megabytes costs grows with its size,
// not with its square, which would be minutes here.
func TestLargeBodies(t *testing.T) {
	const many = 200_000
	object := func(value func(i int) string) string {
		var b strings.Builder
		for i := range many {
			if v := value(i); v != "" {
				fmt.Fprintf(&b, `,"k%d":%s`, i, v)
			}
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	always := func(v string) func(int) string { return func(int) string { return v } }
	mixed := func(null string) func(int) string {
		return func(i int) string { return []string{"1", null, "2"}[i%3] }
	}
	quoted := func(i int) string { return []string{`"1"`, "null", "2"}[i%3] }
	for _, c := range []struct {
		name, schema, body string
		want               string // the arguments, or empty for a refusal
	}{
		{"unknown names", `{"additionalProperties":false}`, object(always("1")), ""},
		{"wrong names", `{"propertyNames":{"maxLength":1}}`, object(always("1")), ""},
		{"wrong values", `{"additionalProperties":{"type":"integer"}}`, object(always("[]")), ""},
		{"wrong items", `{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":[1` + strings.Repeat(",1", many) + `]}`, ""},
		{"texts", `{"additionalProperties":{"type":"integer"}}`, object(always(`"1"`)), object(always("1"))},
		{"nulls", `{"additionalProperties":{"type":"integer"}}`, object(always("null")), "{}"},
		{"texts and nulls", `{"additionalProperties":{"type":"integer"}}`, object(quoted), object(mixed(""))},
		{"valid", `{"additionalProperties":{"type":["integer","null"]}}`, object(mixed("null")), object(mixed("null"))},
	} {
		tool, err := ParseTool([]byte(`{"name":"t","inputSchema":` + c.schema + `}`))
		if err != nil {
			t.Fatal(err)
		}
		args, err := Build(Info{}, []Tool{tool}).Operations["t"].Arguments([]byte(c.body))
		if c.want != "" && (err != nil || string(args) != c.want) {
			t.Errorf("%s = %.200s, %v, want %.200s", c.name, args, err, c.want)
		}
		var invalid *InvalidBody
		if c.want == "" && (!errors.As(err, &invalid) || len(invalid.Detail) != maxDetails) {
			t.Errorf("%s = %.200s, %.200v, want %d details", c.name, args, err, maxDetails)
		}
	}
}
