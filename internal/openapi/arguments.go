package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Operation is the part of a tool that calls need.
type Operation struct {
	schema json.RawMessage

	once      sync.Once
	validator *jsonschema.Schema // nil when the schema does not compile
	unchecked error              // why it does not
	warned    atomic.Bool
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
	m := mender{body: n}
	for range maxRepairs {
		if !m.repair(failure) {
			break
		}
		if failure = op.validate(n); failure == nil {
			return n.append(nil), nil
		}
	}
	return nil, op.invalid(m, failure)
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
	if op.validator, op.unchecked = compileSchema(op.schema); op.unchecked != nil {
		op.unchecked = fmt.Errorf("compiling the input schema: %w", op.unchecked)
	}
}

func compileSchema(raw []byte) (*jsonschema.Schema, error) {
	p := parser{data: raw, twice: -1, long: -1}
	if _, err := p.document(); err != nil {
		return nil, err
	}
	if p.long >= 0 {
		return nil, errLongNumber
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	dropPatterns(schema)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	for _, name := range formats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(any) error { return nil }})
	}
	if err := c.AddResource(schemaURL, schema); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// formats are those that the validator would assert for older drafts. Their
// fine print differs from one validator to the next, so the server decides.
var formats = [...]string{"json-pointer", "relative-json-pointer", "uuid", "duration", "period", "ipv4", "ipv6", "hostname", "email",
	"date", "time", "date-time", "uri", "iri", "uri-reference", "iri-reference", "uri-template", "semver"}

// noLoader refuses to fetch what a schema refers to outside of itself.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references to other documents are not followed")
}

// Unchecked says why calls are not checked; nil when they are, or when the
// tool has no schema. It may be called from many goroutines at once.
func (op *Operation) Unchecked() error {
	op.once.Do(op.compile)
	return op.unchecked
}

// WarnUnchecked gives warn the reason why calls are not checked, if there is
// one, at the first call only. It may be called from many goroutines at once.
func (op *Operation) WarnUnchecked(warn func(reason error)) {
	if err := op.Unchecked(); err != nil && !op.warned.Swap(true) {
		warn(err)
	}
}
