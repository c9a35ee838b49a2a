package openapi

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzArguments(f *testing.F) {
	for _, schema := range []string{person, `{"anyOf":[{"properties":{"a":{"type":"boolean"}}},{"required":["b"]}]}`, `{"type":"object","additionalProperties":{"type":["integer","null"]}}`} {
		for _, body := range []string{`{"name":"a","age":"5"}`, `{"a":"true","b":null}`, `{"home":"{\"zip\":\"1\"}","name":""}`, `{"name":null}`, `{"age":1e999}`} {
			f.Add([]byte(schema), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, schema, body []byte) {
		if !json.Valid(schema) || bytes.Contains(schema, []byte("$")) {
			return // schemas of a server's that refer to themselves are the validator's affair
		}
		op := &Operation{schema: schema}
		got, err := op.Arguments(body)
		if err != nil {
			if _, marshalErr := json.Marshal(err); marshalErr != nil {
				t.Fatalf("the refusal of %q is no JSON: %v", body, marshalErr)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("Arguments(%q) = %q, which is no JSON", body, got)
		}
		again, err := op.Arguments(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("Arguments(%q) = %q, but that gives %q, %v", body, got, again, err)
		}
		n, err := parseStrict(got)
		if err != nil {
			t.Fatal(err)
		}
		trimmed := bytes.Trim(body, " \t\r\n")
		if first, err := parseStrict(trimmed); err == nil && string(trimmed) != "null" && (op.validator == nil || op.validate(first) == nil) && !bytes.Equal(got, trimmed) {
			t.Fatalf("Arguments(%q) = %q although nothing was wrong", body, got)
		}
		if op.validator != nil && op.validate(n) != nil {
			t.Fatalf("Arguments(%q) = %q, which is not valid", body, got)
		}
	})
}

func FuzzBuild(f *testing.F) {
	for _, t := range awkward(f) {
		f.Add(t.Name, []byte(t.InputSchema))
	}
	meta := metaschema(f)
	f.Fuzz(func(t *testing.T, name string, schema []byte) {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(schema) == 0 {
			schema = []byte("null")
		}
		made, err := ParseTool(append(append(append([]byte(`{"name":`), quoted...), `,"inputSchema":`...), append(schema, '}')...))
		if err != nil {
			return
		}
		d := Build(Info{Title: "t", Version: "1", Login: &Login{OperationID: name, Summary: name}}, []Tool{made})
		if !json.Valid(d.JSON) {
			t.Fatalf("the document is no JSON: %s", d.JSON)
		}
		checkDocument(t, meta, d)
		if len(d.JSON) > 4<<20+16*len(schema) {
			t.Fatalf("%d bytes of schema make %d bytes", len(schema), len(d.JSON))
		}
	})
}

func FuzzResultBody(f *testing.F) {
	for _, result := range []string{`{"content":[{"type":"text","text":"{\"a\":1.0}"}]}`, `{"content":[{"type":"image","data":"aGk=","mimeType":"a\"b"}]}`, `{"structuredContent":{"a":"\ud800"}}`,
		`{"content":[{"type":"text","text":"\u007b}"},5]}`, `{"isError":true,"content":[{"type":"text","text":"x"}]}`, "\xff", `{"content":[{"type":"text","text":"\"\\ud800\\\\ud800\""}]}`} {
		f.Add([]byte(result))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		body, err := ResultBody(result)
		if err == nil && !json.Valid(body) {
			t.Fatalf("ResultBody(%q) = %q, which is no JSON", result, body)
		}
	})
}
