package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// Whatever a server lists, the document is JSON and has each tool's operation.
func FuzzBuild(f *testing.F) {
	for _, schema := range []string{
		`{}`, `true`, `{"$ref":"#"}`, `{"properties":{"a":{"$ref":"#/properties/a"},"b":false,"c":{"items":[true]}}}`,
		`{"anyOf":[{"$ref":"#/$defs/a"},{"properties":{"k":{"const":1}}}],"$defs":{"a":{"$anchor":"x","allOf":[{"$ref":"#x"}],"properties":{"k":{"enum":[2]}}}}}`,
	} {
		f.Add("name", []byte(schema))
	}
	f.Fuzz(func(t *testing.T, name string, schema []byte) {
		d := Build(Info{Title: "t"}, []Tool{{Name: name, InputSchema: schema, input: nodeOf(schema), output: nodeOf(schema)}})
		if d.Operations[name] == nil || !json.Valid(d.JSON) {
			t.Errorf("%q with %q makes %s", name, schema, d.JSON)
		}
	})
}

// nodeOf parses a schema; nil when it is no JSON.
func nodeOf(schema []byte) *node {
	n, err := parseNode(schema)
	if err != nil {
		return nil
	}
	return n
}

// Arguments are always an object that needs no second repair.
func FuzzArguments(f *testing.F) {
	const schema = `{"type":"object","properties":{"n":{"type":"integer"},"b":{"type":["boolean","null"]},"l":{"type":"array","items":{"type":"number"}},
		"o":{"anyOf":[{"type":"object"},{"type":"null"}]}},"required":["n"]}`
	for _, body := range []string{``, `null`, `{"n":1}`, `{"n":"1.0","b":"yes","l":"[\"1\"]","o":"{}"}`, `{"n":null}`, `{"n":1,"n":2}`, `[`, "{\"\xff\":1}"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		op := &Operation{schema: []byte(schema)}
		args, err := op.Arguments(body)
		if err != nil {
			var invalid *InvalidBody
			if !errors.As(err, &invalid) || len(invalid.Detail) == 0 {
				t.Fatalf("%q: %v", body, err)
			}
			if raw, err := json.Marshal(invalid); err != nil {
				t.Fatalf("%q: %v in %s", body, err, raw)
			}
			return
		}
		if again, err := op.Arguments(args); err != nil || !bytes.Equal(again, args) || args[0] != '{' {
			t.Errorf("%q gives %q, and that gives %q, %v", body, args, again, err)
		}
	})
}

// A body is always JSON, whatever the server answers.
func FuzzResultBody(f *testing.F) {
	for _, result := range []string{
		``, `null`, `{"content":[]}`, `{"content":[{"type":"text","text":" {\"a\":1e400} "}]}`, `{"content":[{"type":"text","text":"\ud800"}],"isError":true}`,
		`{"content":[{"type":"image","data":"AA==","mimeType":"a\"b"},{"type":"resource","resource":{"blob":"AA=="}}]}`, "{\"content\":[{\"type\":\"text\",\"text\":\"\xff\"}]}",
	} {
		f.Add([]byte(result))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		body, err := ResultBody(result)
		var failed *ToolError
		switch {
		case err == nil && !json.Valid(body):
			t.Errorf("%q gives %q", result, body)
		case err != nil && (!errors.As(err, &failed) || failed.Message == ""):
			t.Errorf("%q gives %v", result, err)
		}
	})
}
