package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"compress/gzip"

	openapi3 "github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// readTools reads a document as Open WebUI does: what it would get wrong is an
// error. It gives the names and parameters of the tools.
func readTools(doc []byte) (map[string]map[string]any, error) {
	var d struct {
		Paths map[string]map[string]shownOperation
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, err
	}
	tools := map[string]map[string]any{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if tools[op.OperationID] != nil {
				return nil, fmt.Errorf("two tools are %q", op.OperationID)
			}
			root, err := readOperation(method, op)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			tools[op.OperationID] = root
		}
	}
	return tools, nil
}

// shownOperation is what Open WebUI reads of one.
type shownOperation struct {
	OperationID string `json:"operationId"`
	RequestBody *struct {
		Content map[string]struct{ Schema map[string]any }
	} `json:"requestBody"`
}

// readOperation gives the parameters of one tool. Without a body there are none.
func readOperation(method string, op shownOperation) (map[string]any, error) {
	switch {
	case !functionName.MatchString(op.OperationID):
		return nil, fmt.Errorf("models refuse the name %q", op.OperationID)
	case method == "get" && op.RequestBody == nil:
		return map[string]any{"type": "object", "properties": map[string]any{}, "required": []any{}}, nil
	case method != "post" || op.RequestBody == nil:
		return nil, fmt.Errorf("%s is neither a GET nor a POST with a body", method)
	}
	root := op.RequestBody.Content["application/json"].Schema
	if _, ok := root["properties"].(map[string]any); !ok || root["type"] != "object" {
		return nil, fmt.Errorf("the body is no object with properties")
	}
	for _, combinator := range []string{"anyOf", "oneOf", "allOf"} {
		if root[combinator] != nil {
			return nil, fmt.Errorf("%s at the root loses arguments", combinator)
		}
	}
	return root, readSchema(root, 0)
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// readSchema walks where Open WebUI's reader walks. It is recursive and
// written in Python, where 1000 calls are too many and each level takes a few.
func readSchema(schema any, depth int) error {
	s, ok := schema.(map[string]any)
	switch {
	case !ok:
		return fmt.Errorf("a schema is %T", schema)
	case depth > 150:
		return fmt.Errorf("schemas nest too deeply")
	case s["$ref"] != nil:
		return fmt.Errorf("a reference is left: %v", s["$ref"])
	case s["type"] == nil && s["anyOf"] == nil && s["properties"] == nil:
		return fmt.Errorf("a schema without a type becomes text: %v", s)
	}
	if properties, ok := s["properties"]; ok {
		m, ok := properties.(map[string]any)
		if !ok {
			return fmt.Errorf("properties are %T", properties)
		}
		for name, p := range m {
			if err := readSchema(p, depth+1); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if items, ok := s["items"]; ok {
		if err := readSchema(items, depth+1); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	for _, combinator := range []string{"anyOf", "oneOf", "allOf"} {
		list, ok := s[combinator].([]any)
		if s[combinator] != nil && !ok {
			return fmt.Errorf("%s is %T", combinator, s[combinator])
		}
		for _, e := range list {
			if err := readSchema(e, depth+1); err != nil {
				return fmt.Errorf("%s: %w", combinator, err)
			}
		}
	}
	if required, ok := s["required"].([]any); s["required"] != nil && !ok || slices.ContainsFunc(required, func(r any) bool { _, ok := r.(string); return !ok }) {
		return fmt.Errorf("required is %v", s["required"])
	}
	return nil
}

// metaschema checks schemas against JSON Schema 2020-12.
func metaschema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	m, err := jsonschema.NewCompiler().Compile("https://json-schema.org/draft/2020-12/schema")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkDocument reads a document in every way that clients are known to.
func checkDocument(t testing.TB, meta *jsonschema.Schema, d *Document) map[string]map[string]any {
	t.Helper()
	tools, err := readTools(d.JSON)
	if err != nil {
		t.Errorf("Open WebUI: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.JSON))
	if err != nil {
		t.Fatal(err)
	}
	logins := 0
	if get(doc, "paths", "/login", "get") != nil {
		logins = 1
	}
	if len(tools) != len(d.Operations)+logins {
		t.Errorf("%d operations are shown, %d can be called", len(tools), len(d.Operations)+logins)
	}
	eachSchema(doc, func(where string, schema any) {
		if err := meta.Validate(schema); err != nil {
			t.Errorf("%s is no JSON Schema: %v", where, err)
		}
	})
	z, err := gzip.NewReader(bytes.NewReader(d.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, d.JSON) {
		t.Errorf("the compressed document differs: %v", err)
	}
	return tools
}

// eachSchema visits the schemas of bodies and answers.
func eachSchema(doc any, visit func(where string, schema any)) {
	paths, _ := get(doc, "paths").(map[string]any)
	for path, item := range paths {
		methods, _ := item.(map[string]any)
		for method, op := range methods {
			if body := get(op, "requestBody"); body != nil {
				visit(method+" "+path, get(body, "content", "application/json", "schema"))
			}
			responses, _ := get(op, "responses").(map[string]any)
			for status, response := range responses {
				visit(method+" "+path+" "+status, get(response, "content", "application/json", "schema"))
			}
		}
	}
}

func get(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// checkOpenAPI validates against OpenAPI 3.1 with an independent validator.
func checkOpenAPI(t testing.TB, raw []byte) {
	t.Helper()
	doc, err := openapi3.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("OpenAPI: %s: %s %v", p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
}

// tool makes a tool of its JSON.
func tool(t testing.TB, raw string) Tool {
	t.Helper()
	made, err := ParseTool(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// toolsOf reads lines that hold a tool each; // begins a comment.
func toolsOf(t testing.TB, text string) []Tool {
	t.Helper()
	var tools []Tool
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			tools = append(tools, tool(t, line))
		}
	}
	return tools
}
