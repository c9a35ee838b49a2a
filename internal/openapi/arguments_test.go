package openapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// operation gives the operation of a tool with the input schema.
func operation(t testing.TB, schema string) *Operation {
	t.Helper()
	raw := `{"name":"x"}`
	if schema != "" {
		raw = `{"name":"x","inputSchema":` + schema + `}`
	}
	tool, err := ParseTool(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	return Build(Info{Title: "t"}, []Tool{tool}).Operations["x"]
}

// refusal calls with a body that has to be refused, and gives the details as
// JSON.
func refusal(t *testing.T, schema, body string) []Detail {
	t.Helper()
	args, err := operation(t, schema).Arguments([]byte(body))
	var invalid *InvalidBody
	if !errors.As(err, &invalid) {
		t.Fatalf("Arguments(%s) = %s, %v; want an *InvalidBody", body, args, err)
	}
	if _, err := json.Marshal(invalid); err != nil {
		t.Fatalf("the refusal is no JSON: %v", err)
	}
	if len(invalid.Detail) == 0 {
		t.Fatal("the refusal says nothing")
	}
	return invalid.Detail
}

const person = `{"type":"object","properties":{"name":{"type":"string","minLength":1},"age":{"type":"integer","minimum":0},
	"height":{"type":"number"},"member":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}},
	"home":{"type":"object","properties":{"zip":{"type":"integer"}},"required":["zip"]}},"required":["name"]}`

func TestArgumentsPassesValidBodiesByteForByte(t *testing.T) {
	for _, body := range []string{
		`{"name":"a"}`,
		`{ "name" : "a" ,  "age":9007199254740993 }`,
		`{"age":123456789012345678901234567890,"name":"a"}`,
		`{"height":1.0,"name":"a"}`,
		`{"age":1.0,"name":"a"}`, // an integer to JSON Schema
		`{"height":1.10,"name":"a","height2":-0.0}`,
		`{"zebra":1,"name":"a","apple":{"z":1,"a":[1.50]}}`,
		`{"NAME":1,"name":"a","Age":"x"}`,
		`{"name":"a","\u0061ge\u017f":"ſ","ſ":1,"K":2}`,
		"{\n\t\"name\": \"\\u00e9\\/<&>\"\r\n}",
		`{"name":"5","tags":["1","true"]}`,
		`{"name":"{\"a\":1}"}`,
	} {
		got, err := operation(t, person).Arguments([]byte(body))
		if err != nil || string(got) != body {
			t.Errorf("Arguments(%s) = %s, %v", body, got, err)
		}
	}
}

func TestArgumentsOfAnEmptyBodyIsAnEmptyObject(t *testing.T) {
	for _, body := range []string{"", " \n", "null", " null "} {
		got, err := operation(t, `{"type":"object"}`).Arguments([]byte(body))
		if err != nil || string(got) != "{}" {
			t.Errorf("Arguments(%q) = %s, %v", body, got, err)
		}
	}
	if d := refusal(t, person, ""); d[0].Type != "missing" {
		t.Errorf("an empty body where a name is required: %+v", d)
	}
}

func TestArgumentsRefusesWhatIsNoJSONObject(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600)
	for _, c := range []struct {
		body, typ string
		loc       any
	}{
		{`{"a":1`, "json_invalid", 6},
		{`{"a":1}}`, "json_invalid", 7},
		{`{"a":1,}`, "json_invalid", 7},
		{`{'a':1}`, "json_invalid", 1},
		{`{"a":NaN}`, "json_invalid", 5},
		{`{"a":01}`, "json_invalid", 6},
		{`{"a":+1}`, "json_invalid", 5},
		{`{"a":1.}`, "json_invalid", 5},
		{`{"a":"` + "\x01" + `"}`, "json_invalid", 6},
		{`{"a":"` + "\xff" + `"}`, "json_invalid", 6},
		{`{"a":1,"a":2}`, "json_invalid", 7},
		{`{"a":1,"\u0061":2}`, "json_invalid", 7},
		{`{"b":[{"a":1,"a":1}]}`, "json_invalid", 13},
		{deep, "json_invalid", 2505},
		{`{"a":1e1000000000}`, "json_invalid", 5},
		{`{"a":1e-1000}`, "json_invalid", 5},
		{`{"a":` + strings.Repeat("9", 5000) + `}`, "json_invalid", 5},
		{"\ufeff{}", "json_invalid", 0},
		{`[]`, "dict_type", nil},
		{`"{}"`, "dict_type", nil},
		{`5`, "dict_type", nil},
	} {
		d := refusal(t, `{"type":"object"}`, c.body)
		want := []any{"body"}
		if c.loc != nil {
			want = append(want, c.loc)
		}
		if d[0].Type != c.typ || !cmp.Equal(d[0].Loc, want) {
			t.Errorf("Arguments(%.40s): %s at %v, want %s at %v", c.body, d[0].Type, d[0].Loc, c.typ, want)
		}
	}
}

func TestArgumentsRepairs(t *testing.T) {
	property := func(s string) string { return `{"type":"object","properties":{"v":` + s + `}}` }
	for _, c := range []struct{ name, schema, body, want string }{
		{"integer", property(`{"type":"integer"}`), `{"v":"5"}`, `{"v":5}`},
		{"integer with blanks", property(`{"type":"integer"}`), `{"v":" 5 "}`, `{"v":5}`},
		{"big integer", property(`{"type":"integer"}`), `{"v":"9007199254740993"}`, `{"v":9007199254740993}`},
		{"whole number", property(`{"type":"integer"}`), `{"v":"1.0"}`, `{"v":1}`},
		{"number", property(`{"type":"number"}`), `{"v":"1.5"}`, `{"v":1.5}`},
		{"number keeps its form", property(`{"type":"number"}`), `{"v":"1.50"}`, `{"v":1.50}`},
		{"boolean", property(`{"type":"boolean"}`), `{"v":"True"}`, `{"v":true}`},
		{"boolean of a number", property(`{"type":"boolean"}`), `{"v":0}`, `{"v":false}`},
		{"null", property(`{"type":"integer"}`), `{"v":null}`, `{}`},
		{"null among others", property(`{"type":"integer"}`), `{"a":1.0,"v":null,"b":"x"}`, `{"a":1.0,"b":"x"}`},
		{"null for a choice", property(`{"enum":["a","b"]}`), `{"v":null}`, `{}`},
		{"null for a constant", property(`{"const":"a"}`), `{"v":null}`, `{}`},
		{"object in a string", property(`{"type":"object"}`), `{"v":"{\"a\": 1.0}"}`, `{"v":{"a":1.0}}`},
		{"array in a string", property(`{"type":"array"}`), `{"v":"[1, 2]"}`, `{"v":[1,2]}`},
		{"string in a string's object", property(`{"type":"object","properties":{"n":{"type":"array","items":{"type":"integer"}}}}`),
			`{"v":"{\"n\":\"[\\\"7\\\"]\"}"}`, `{"v":{"n":[7]}}`},
		{"items", property(`{"type":"array","items":{"type":"integer"}}`), `{"v":["1",2,"3"]}`, `{"v":[1,2,3]}`},
		{"nested", person, `{"name":"a","home":{"zip":"8000"},"age":"3"}`, `{"name":"a","home":{"zip":8000},"age":3}`},
		{"anyOf", property(`{"anyOf":[{"type":"integer"},{"type":"null"}]}`), `{"v":"5"}`, `{"v":5}`},
		{"anyOf takes the closer type", property(`{"anyOf":[{"type":"boolean"},{"type":"integer"}]}`), `{"v":"1"}`, `{"v":1}`},
		{"type list", property(`{"type":["boolean","integer"]}`), `{"v":"1"}`, `{"v":1}`},
		{"anyOf object", property(`{"anyOf":[{"type":"object","properties":{"n":{"type":"integer"}}},{"type":"null"}]}`), `{"v":{"n":"1"}}`, `{"v":{"n":1}}`},
		{"anyOf mends the one that can be mended", property(`{"anyOf":[
			{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}}},
			{"type":"object","properties":{"a":{"type":"integer"},"c":true},"required":["c"]}]}`), `{"v":{"a":"5","b":"7"}}`, `{"v":{"a":"5","b":7}}`},
		{"oneOf by a constant", property(`{"oneOf":[
			{"type":"object","properties":{"k":{"const":"x"},"n":{"type":"integer"}},"required":["k"]},
			{"type":"object","properties":{"k":{"const":"y"},"n":{"type":"boolean"}},"required":["k"]}]}`), `{"v":{"k":"y","n":"true"}}`, `{"v":{"k":"y","n":true}}`},
		{"reference", `{"type":"object","properties":{"v":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer"}}}`, `{"v":"5"}`, `{"v":5}`},
		{"draft-07", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"v":{"type":"integer","exclusiveMinimum":1}}}`, `{"v":"5"}`, `{"v":5}`},
		{"enum of numbers", property(`{"enum":[1,2]}`), `{"v":"2"}`, `{"v":2}`},
		{"typed enum", property(`{"type":"integer","enum":[1,2]}`), `{"v":"2"}`, `{"v":2}`},
		{"additionalProperties", `{"type":"object","additionalProperties":{"type":"integer"}}`, `{"q":"5"}`, `{"q":5}`},
		{"unknown keys and order stay", person, `{"z":9007199254740993,"age":"1","name":"a","a":1.0}`, `{"z":9007199254740993,"age":1,"name":"a","a":1.0}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := operation(t, c.schema).Arguments([]byte(c.body))
			if err != nil || string(got) != c.want {
				t.Errorf("Arguments(%s) = %s, %v; want %s", c.body, got, err, c.want)
			}
		})
	}
}

func TestArgumentsDoesNotRepair(t *testing.T) {
	property := func(s string) string { return `{"type":"object","properties":{"v":` + s + `},"required":["v"]}` }
	for _, c := range []struct{ name, schema, body, typ, input string }{
		{"number where text is wanted", property(`{"type":"string"}`), `{"v":5}`, "string_type", `5`},
		{"object where text is wanted", property(`{"type":"string"}`), `{"v":{"a":1}}`, "string_type", `{"a":1}`},
		{"fraction", property(`{"type":"integer"}`), `{"v":1.5}`, "int_from_float", `1.5`},
		{"fraction in a string", property(`{"type":"integer"}`), `{"v":"1.5"}`, "int_parsing", `"1.5"`},
		{"words", property(`{"type":"integer"}`), `{"v":"five"}`, "int_parsing", `"five"`},
		{"nan", property(`{"type":"number"}`), `{"v":"nan"}`, "float_parsing", `"nan"`},
		{"hexadecimal", property(`{"type":"integer"}`), `{"v":"0x10"}`, "int_parsing", `"0x10"`},
		{"rational", property(`{"type":"integer"}`), `{"v":"4/2"}`, "int_parsing", `"4/2"`},
		{"underscore", property(`{"type":"integer"}`), `{"v":"1_000"}`, "int_parsing", `"1_000"`},
		{"huge exponent", property(`{"type":"integer"}`), `{"v":"1e999999999"}`, "int_parsing", `"1e999999999"`},
		{"maybe", property(`{"type":"boolean"}`), `{"v":"maybe"}`, "bool_parsing", `"maybe"`},
		{"two", property(`{"type":"boolean"}`), `{"v":2}`, "bool_parsing", `2`},
		{"text for an array", property(`{"type":"array"}`), `{"v":"a,b"}`, "list_type", `"a,b"`},
		{"array for an object", property(`{"type":"object"}`), `{"v":"[1]"}`, "dict_type", `"[1]"`},
		{"names twice in a string", property(`{"type":"object"}`), `{"v":"{\"a\":1,\"a\":2}"}`, "dict_type", `"{\"a\":1,\"a\":2}"`},
		{"null that is required", property(`{"type":"integer"}`), `{"v":null}`, "int_type", `null`},
		{"null that is required as text", property(`{"type":"string","minLength":1}`), `{"v":null}`, "string_type", `null`},
		{"null in an array", property(`{"type":"array","items":{"type":"integer"}}`), `{"v":[null]}`, "int_type", `null`},
		{"bound after mending", property(`{"type":"integer","maximum":3}`), `{"v":"5"}`, "less_than_equal", `5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := refusal(t, c.schema, c.body)
			if len(d) != 1 || d[0].Type != c.typ || string(d[0].Input) != c.input {
				t.Errorf("Arguments(%s): %+v, input %s; want one %s, input %s", c.body, d, d[0].Input, c.typ, c.input)
			}
		})
	}
}

func TestArgumentsListsEveryErrorInTheOrderOfTheProperties(t *testing.T) {
	const schema = `{"type":"object","properties":{
		"zulu":{"type":"string"},"mike":{"type":"integer","minimum":3},"alpha":{"enum":["x","y",1]},"echo":{"type":"array","items":{"type":"object",
		"properties":{"y":{"type":"boolean"},"b":{"type":"number"}},"required":["y"]},"maxItems":1},"text":{"type":"string","minLength":3,"pattern":"^a"},
		"same":{"const":"c"},"maybe":{"anyOf":[{"type":"integer"},{"type":"null"}]}},"required":["zulu","mike"],"additionalProperties":false}`
	const body = `{"extra":1,"maybe":"m","same":"d","text":"b","echo":[{"b":[],"y":"?"},{}],"alpha":"z","mike":2}`
	want := `[
		{"type":"missing","loc":["body","zulu"],"msg":"Field required","input":` + body + `},
		{"type":"greater_than_equal","loc":["body","mike"],"msg":"Input should be greater than or equal to 3","input":2},
		{"type":"enum","loc":["body","alpha"],"msg":"Input should be \"x\", \"y\" or 1","input":"z"},
		{"type":"too_long","loc":["body","echo"],"msg":"List should have at most 1 items","input":[{"b":[],"y":"?"},{}]},
		{"type":"bool_parsing","loc":["body","echo",0,"y"],"msg":"Input should be a valid boolean, unable to interpret input","input":"?"},
		{"type":"float_type","loc":["body","echo",0,"b"],"msg":"Input should be a valid number","input":[]},
		{"type":"missing","loc":["body","echo",1,"y"],"msg":"Field required","input":{}},
		{"type":"string_pattern_mismatch","loc":["body","text"],"msg":"String should match pattern '^a'","input":"b"},
		{"type":"string_too_short","loc":["body","text"],"msg":"String should have at least 3 characters","input":"b"},
		{"type":"literal_error","loc":["body","same"],"msg":"Input should be \"c\"","input":"d"},
		{"type":"type_error","loc":["body","maybe"],"msg":"Input should be a valid integer or null","input":"m"},
		{"type":"extra_forbidden","loc":["body","extra"],"msg":"Extra inputs are not permitted","input":1}]`
	for range 20 { // the validator walks through maps
		got, err := json.Marshal(refusal(t, schema, body))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decoded(t, []byte(want)), decoded(t, got)); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	}
}

func TestArgumentsWordsOtherFindings(t *testing.T) {
	for _, c := range []struct{ schema, body, typ, msg string }{
		{`{"properties":{"v":{"type":"number","exclusiveMinimum":0.1}}}`, `{"v":0.1}`, "greater_than", "Input should be greater than 0.1"},
		{`{"properties":{"v":{"type":"number","multipleOf":0.5}}}`, `{"v":0.7}`, "multiple_of", "Input should be a multiple of 0.5"},
		{`{"properties":{"v":{"uniqueItems":true}}}`, `{"v":[1,1]}`, "value_error", "items at 0 and 1 are equal"},
		{`{"properties":{"v":false}}`, `{"v":1}`, "value_error", "Extra inputs are not permitted"},
		{`{"propertyNames":{"pattern":"^[a-z]+$"}}`, `{"A1":1}`, "value_error", `The name "A1" is not permitted here`},
		{`{"minProperties":1}`, `{}`, "value_error", "minProperties: got 0, want 1"},
		{`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`, "value_error", "oneOf"},
	} {
		d := refusal(t, c.schema, c.body)
		if len(d) != 1 || d[0].Type != c.typ || !strings.Contains(d[0].Msg, c.msg) || strings.Contains(d[0].Msg, "mcp://") {
			t.Errorf("%s with %s: %+v", c.schema, c.body, d)
		}
	}
}

func TestArgumentsBoundsARefusal(t *testing.T) {
	body := `{"v":["` + strings.Repeat(`x","`, 5000) + `x"],"w":"` + strings.Repeat("ä", 1<<20) + `"}`
	d := refusal(t, `{"properties":{"v":{"items":{"type":"integer"}},"w":{"type":"integer"}},"required":["z"]}`, body)
	raw, err := json.Marshal(InvalidBody{d})
	if err != nil || len(raw) > 1<<20 {
		t.Errorf("%d details, %d bytes, %v", len(d), len(raw), err)
	}
}

// A schema that cannot be used checks nothing: the MCP server has the last
// word (threats 25).
func TestArgumentsPassesThroughWithoutAUsableSchema(t *testing.T) {
	for _, schema := range []string{
		``, `null`, `true`, `[]`, `"x"`, `{"type":"nonsense"}`, `{"type":5}`, `{"properties":[]}`, `{"$schema":"https://example.com/none"}`,
		`{"$ref":"https://example.com/schema.json"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"#/nowhere"}`,
		`{"properties":{"v":{"$ref":"http://127.0.0.1:1/x"}}}`, `{"properties":{"v":{"minimum":1e999999999}}}`,
	} {
		const body = `{"v": "5"}`
		got, err := operation(t, schema).Arguments([]byte(body))
		if err != nil || string(got) != body {
			t.Errorf("%s: Arguments = %s, %v", schema, got, err)
		}
	}
}

func TestOperationSaysWhyNothingIsChecked(t *testing.T) {
	if err := operation(t, person).Unchecked(); err != nil {
		t.Errorf("Unchecked() of a usable schema = %v", err)
	}
	if err := operation(t, ``).Unchecked(); err != nil {
		t.Errorf("Unchecked() without a schema = %v", err)
	}
	if err := operation(t, `{"$ref":"https://example.com/a"}`).Unchecked(); err == nil {
		t.Error("Unchecked() with a remote reference = nil")
	}
}

func TestArgumentsWithPatternsThatGoDoesNotKnow(t *testing.T) {
	const schema = `{"type":"object","properties":{"name":{"type":"string","pattern":"^(?!no)"},"pattern":{"type":"string"}},
		"patternProperties":{"^(?=x)":{"type":"integer"}},"additionalProperties":false}`
	const body = `{"name":"no","xa":"1","pattern":"p"}`
	if got, err := operation(t, schema).Arguments([]byte(body)); err != nil || string(got) != body {
		t.Errorf("Arguments = %s, %v", got, err)
	}
	if d := refusal(t, schema, `{"name":5}`); d[0].Type != "string_type" {
		t.Errorf("the rest of the schema counts no more: %+v", d)
	}
}

// Expressions that take exponential time in other engines are answered at once
// (threats 25).
func TestArgumentsWithAHostilePattern(t *testing.T) {
	op := operation(t, `{"properties":{"v":{"type":"string","pattern":"^(a+)+$"}}}`)
	if _, err := op.Arguments([]byte(`{"v":"` + strings.Repeat("a", 100000) + `b"}`)); err == nil {
		t.Error("the pattern was not checked")
	}
}

// The format of a text is the server's to check; validators differ on it.
func TestArgumentsDoesNotAssertFormats(t *testing.T) {
	for _, draft := range []string{"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"} {
		for _, format := range []string{"date-time", "uri", "email", "uuid", "regex", "made-up"} {
			schema := `{"$schema":"` + draft + `","properties":{"v":{"type":"string","format":"` + format + `"}}}`
			if _, err := operation(t, schema).Arguments([]byte(`{"v":"(today"}`)); err != nil {
				t.Errorf("%s in %s: %v", format, draft, err)
			}
		}
	}
}

func TestArgumentsConcurrently(t *testing.T) {
	op := operation(t, person)
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := op.Arguments([]byte(`{"name":"a","age":"5"}`))
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// decoded is JSON as Go values, for comparisons.
func decoded(t testing.TB, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}
