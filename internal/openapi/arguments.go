package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Operation is the part of a tool that calls need.
type Operation struct {
	schema json.RawMessage

	once      sync.Once
	validator *jsonschema.Schema // nil when the schema does not compile
}

// Arguments makes a tool's arguments of a request's body. A body that is empty
// or null is {}. What is valid against the tool's own schema is passed on as
// the bytes it is; what is not is repaired, as models need it ("5" where a
// number is wanted), and passed on if that made it valid. The error is an
// *[InvalidBody]. It may be called from many goroutines at once.
func (op *Operation) Arguments(body []byte) ([]byte, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || string(body) == "null" {
		body = []byte("{}")
	}
	n, err := parseStrict(body)
	if err != nil {
		return nil, invalidJSON(err)
	}
	if !n.is('{') {
		return nil, &InvalidBody{[]Detail{{Type: "dict_type", Loc: []any{"body"}, Msg: "Input should be a valid dictionary: the arguments as a JSON object", Input: body}}}
	}
	op.once.Do(op.compile)
	if op.validator == nil {
		return body, nil
	}
	failure := op.validate(n)
	if failure == nil {
		return body, nil
	}
	for range maxRepairs {
		if !repair(n, failure) {
			break
		}
		again := op.validate(n)
		if again == nil {
			return n.append(nil), nil
		}
		failure = again
	}
	return nil, invalid(n, failure)
}

// maxRepairs bounds how often a body is mended and checked again: JSON text
// in a string may hold more of what needs mending.
const maxRepairs = 4

func (op *Operation) validate(n *node) *jsonschema.ValidationError {
	err := op.validator.Validate(n.plain())
	var failure *jsonschema.ValidationError
	if errors.As(err, &failure) {
		return failure
	}
	return nil
}

// schemaURL names the schema within the compiler only.
const schemaURL = "mcp://tool/input.json"

// compile prepares the tool's schema. One that does not compile checks
// nothing: the MCP server has the last word anyway.
func (op *Operation) compile() {
	if len(op.schema) == 0 {
		return
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(op.schema))
	if err != nil {
		return
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	if err := c.AddResource(schemaURL, schema); err != nil {
		return
	}
	if validator, err := c.Compile(schemaURL); err == nil {
		op.validator = validator
	}
}

// noLoader refuses to fetch what a schema refers to outside of itself.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references to other documents are not followed")
}
