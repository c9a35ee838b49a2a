package openapi

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// awkward are the tools of testdata/awkward.jsonl.
func awkward(t testing.TB) []Tool {
	t.Helper()
	text, err := os.ReadFile("testdata/awkward.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return toolsOf(t, string(text))
}

func TestAwkwardSchemasAreReadableForEveryClient(t *testing.T) {
	meta := metaschema(t)
	all := awkward(t)
	for _, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			d := Build(Info{Title: "t", Version: "1"}, []Tool{one})
			checkDocument(t, meta, d)
			checkOpenAPI(t, d.JSON)
		})
	}
	d := Build(Info{Title: "t", Version: "1", ServerURL: "/x", Secured: true}, all)
	if tools := checkDocument(t, meta, d); len(tools) != len(all) {
		t.Errorf("%d of %d tools", len(tools), len(all))
	}
	checkOpenAPI(t, d.JSON)
}

// bodySchema is what is shown of an input schema.
func bodySchema(t *testing.T, schema string) (shown any, warnings []string) {
	t.Helper()
	d := Build(Info{Title: "t"}, []Tool{tool(t, `{"name":"x","inputSchema":`+schema+`}`)})
	tools, err := readTools(d.JSON)
	if err != nil {
		t.Errorf("%v in %s", err, d.JSON)
	}
	return any(tools["tool_x_post"]), d.Warnings
}

func TestConvertedSchemas(t *testing.T) {
	const free = `{"anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"},
		{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"}]}},{"type":"null"}]}`
	for _, c := range []struct{ name, property, want string }{
		{"keywords are kept", `{"type":"string","enum":["a"],"pattern":"^a","format":"uri","minLength":1,"maxLength":3,"default":"a","title":"T","description":"d","x-own":[1]}`,
			`{"type":"string","enum":["a"],"pattern":"^a","format":"uri","minLength":1,"maxLength":3,"default":"a","title":"T","description":"d","x-own":[1]}`},
		{"a reference", `{"$ref":"#/$defs/s"}`, `{"type":"string","description":"an s"}`},
		{"a reference with words beside", `{"$ref":"#/$defs/s","description":"mine"}`, `{"type":"string","description":"mine"}`},
		{"recursion", `{"$ref":"#/$defs/r"}`, `{"type":"object","properties":{"r":{"type":"object"}}}`},
		{"recursion in an array", `{"$ref":"#/$defs/l"}`, `{"type":"array","items":{"type":"array","items":` + free + `}}`},
		{"no such reference", `{"$ref":"#/$defs/none"}`, free},
		{"true", `true`, free},
		{"untyped", `{"description":"d"}`, `{"description":"d",` + free[1:]},
		{"choices say the type", `{"enum":["a","b"]}`, `{"enum":["a","b"],"type":"string"}`},
		{"choices of several types", `{"enum":["a",null]}`, `{"enum":["a",null],"type":["string","null"]}`},
		{"a constant says the type", `{"const":1}`, `{"const":1,"type":"integer"}`},
		{"constants in oneOf say the type", `{"oneOf":[{"const":"a"},{"const":"b"}]}`, `{"oneOf":[{"const":"a","type":"string"},{"const":"b","type":"string"}],"type":"string"}`},
		{"properties say the type", `{"properties":{"a":{"type":"string"}}}`, `{"properties":{"a":{"type":"string"}},"type":"object"}`},
		{"allOf says the type", `{"allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"required":["a"]}]}`,
			`{"allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"required":["a"],"type":"object"}],"type":"object"}`},
		{"nullable", `{"type":"string","nullable":true}`, `{"type":["string","null"]}`},
		{"nullable choices", `{"type":"string","enum":["a"],"nullable":true}`, `{"type":["string","null"],"enum":["a",null]}`},
		{"nullable already", `{"type":["string","null"],"nullable":true}`, `{"type":["string","null"]}`},
		{"nullable list of types", `{"type":["string","integer"],"nullable":true}`, `{"type":["string","integer","null"]}`},
		{"nullable reference", `{"$ref":"#/$defs/s","nullable":true}`, `{"type":["string","null"],"description":"an s"}`},
		{"nullable alternatives", `{"anyOf":[{"type":"string"}],"nullable":true}`, `{"anyOf":[{"type":"string"},{"type":"null"}]}`},
		{"boolean exclusiveMinimum", `{"type":"integer","minimum":3,"exclusiveMinimum":true}`, `{"type":"integer","exclusiveMinimum":3}`},
		{"false exclusiveMaximum", `{"type":"integer","maximum":3,"exclusiveMaximum":false}`, `{"type":"integer","maximum":3}`},
		{"tuple of old", `{"type":"array","items":[{"type":"string"}],"additionalItems":{"type":"boolean"}}`, `{"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"boolean"}}`},
		{"an example", `{"type":"string","example":"e"}`, `{"type":"string","examples":["e"]}`},
		{"required once", `{"type":"object","required":["a","a"]}`, `{"type":"object","required":["a"]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown, _ := bodySchema(t, `{"type":"object","properties":{"p":`+c.property+`},"$defs":{"s":{"type":"string","description":"an s"},
				"r":{"type":"object","properties":{"r":{"$ref":"#/$defs/r"}}},"l":{"type":"array","items":{"$ref":"#/$defs/l"}}}}`)
			if diff := cmp.Diff(decoded(t, []byte(c.want)), get(shown, "properties", "p")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestRootsBecomeObjectsWithProperties(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"nothing", `{}`, `{"type":"object","properties":{}}`},
		{"alternatives", `{"anyOf":[{"properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["kind","n"]},
			{"properties":{"kind":{"const":"b"},"n":{"type":"integer"}},"required":["kind"]}]}`,
			`{"type":"object","properties":{"kind":{"anyOf":[{"const":"a","type":"string"},{"const":"b","type":"string"}]},"n":{"type":"integer"}},"required":["kind"]}`},
		{"alternatives of what is required", `{"properties":{"a":{"type":"string"}},"required":["a"],"oneOf":[{"required":["b"]},{"required":["c"]}]}`,
			`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`},
		{"parts", `{"allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"string"}},"required":["b"]}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a","b"]}`},
		{"alternatives in parts", `{"allOf":[{"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}]}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		{"conditions", `{"if":{"required":["a"]},"then":{"properties":{"a":{"type":"string"}},"required":["b"]}}`,
			`{"type":"object","properties":{"a":{"type":"string"}},"if":{"required":["a"]},"then":{"properties":{"a":{"type":"string"}},"required":["b"]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown, warnings := bodySchema(t, c.schema)
			if diff := cmp.Diff(decoded(t, []byte(c.want)), any(shown)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

func TestWarningsNameWhatIsNotShown(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`true`, "its schema is no object"},
		{`{"properties":{"a":{"$ref":"https://example.com/x"}}}`, `"https://example.com/x" leads nowhere`},
		{`{"properties":{"a":{"type":"int"}}}`, `the type "int" is shown as "integer"`},
		{`{"properties":{"a":{"minLength":"3"}}}`, `the value of "minLength"`},
		{`{"properties":{"a":5}}`, "neither an object nor a boolean"},
	} {
		_, warnings := bodySchema(t, c.schema)
		if len(warnings) != 1 || !strings.Contains(warnings[0], c.want) || !strings.HasPrefix(warnings[0], `tool "x": `) {
			t.Errorf("%s: warnings %q, want one with %q", c.schema, warnings, c.want)
		}
	}
}

// Schemas whose expansion explodes are cut to a size that a browser and a
// model can take (threats 25).
func TestExpansionIsBounded(t *testing.T) {
	var doubling, wide, deep strings.Builder
	for i := range 40 {
		fmt.Fprintf(&doubling, `"d%d":{"type":"object","properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}}},`, i, i+1, i+1)
	}
	for i := range 10000 {
		fmt.Fprintf(&wide, `{"$ref":"#/$defs/e"},`)
		_ = i
	}
	long := `"` + strings.Repeat("long ", 200) + `"`
	for range 200 {
		deep.WriteString(`{"type":"array","items":`)
	}
	for name, schema := range map[string]string{
		"doubling":     `{"properties":{"p":{"$ref":"#/$defs/d0"}},"$defs":{` + doubling.String() + `"d40":{"type":"string"}}}`,
		"branches":     `{"properties":{"p":{"anyOf":[` + wide.String() + `true]}},"$defs":{"e":{"type":"string","description":` + long + `}}}`,
		"deep":         `{"properties":{"p":` + deep.String() + `{"type":"string"}` + strings.Repeat("}", 200) + `}}`,
		"values":       `{"properties":{"p":{"anyOf":[` + wide.String() + `true]}},"$defs":{"e":{"enum":[` + strings.TrimSuffix(strings.Repeat(long+",", 50), ",") + `]}}}`,
		"a deep value": `{"properties":{"p":{"default":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := Build(Info{Title: "t"}, []Tool{tool(t, `{"name":"x","inputSchema":`+schema+`}`)})
			if _, err := readTools(d.JSON); err != nil {
				t.Error(err)
			}
			if len(d.JSON) > 1<<20 {
				t.Errorf("the document has %d bytes", len(d.JSON))
			}
			if len(d.Warnings) == 0 {
				t.Error("nothing is said about what is cut")
			}
		})
	}
}

func TestOutputSchemas(t *testing.T) {
	d := Build(Info{Title: "t"}, []Tool{tool(t, `{"name":"x","outputSchema":{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer"}}}}`)})
	var doc any
	if err := json.Unmarshal(d.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	got := get(doc, "paths", "/x", "post", "responses", "200", "content", "application/json", "schema")
	if diff := cmp.Diff(decoded(t, []byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`)), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
