package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// InvalidBody is a body that a tool cannot be called with. It marshals to the
// shape that FastAPI gives validation errors, which clients of mcpo know.
type InvalidBody struct {
	Detail []Detail `json:"detail"`
}

// Error implements error.
func (e *InvalidBody) Error() string {
	lines := make([]string, len(e.Detail))
	for i, d := range e.Detail {
		lines[i] = fmt.Sprintf("%v: %s", d.Loc, d.Msg)
	}
	return strings.Join(lines, "; ")
}

// Detail is one thing that is wrong with a body.
type Detail struct {
	// Type is a short name such as "missing" or "int_type".
	Type string `json:"type"`
	// Loc is the place: "body", then property names and array indexes.
	Loc []any `json:"loc"`
	// Msg is a sentence for people and models.
	Msg string `json:"msg"`
	// Input is the value that is wrong, with its own bytes.
	Input json.RawMessage `json:"input"`
	// Ctx holds more for some types.
	Ctx map[string]string `json:"ctx,omitempty"`
}

// maxDetails bounds the list for a body that is wrong everywhere, and
// maxInput the bytes of a value that are sent back.
const (
	maxDetails = 100
	maxInput   = 2 << 10
)

func invalidJSON(err error) *InvalidBody {
	d := Detail{Type: "json_invalid", Loc: []any{"body", 0}, Msg: "JSON decode error", Input: json.RawMessage("{}"), Ctx: map[string]string{"error": err.Error()}}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		d.Loc[1], d.Ctx["error"] = syntax.at, syntax.why
	}
	return &InvalidBody{[]Detail{d}}
}

// invalid words the validator's findings.
func invalid(n *node, failure *jsonschema.ValidationError) *InvalidBody {
	body := &InvalidBody{}
	seen := map[string]bool{}
	eachLeaf(failure, func(leaf *jsonschema.ValidationError) {
		for _, d := range details(n, leaf) {
			key := fmt.Sprint(d.Type, d.Loc, d.Msg)
			if len(body.Detail) < maxDetails && !seen[key] {
				seen[key] = true
				body.Detail = append(body.Detail, d)
			}
		}
	})
	return body
}

func details(n *node, leaf *jsonschema.ValidationError) []Detail {
	at := n.at(leaf.InstanceLocation)
	var list []Detail
	add := func(in *node, typ, msg string, further ...string) {
		list = append(list, Detail{Type: typ, Loc: location(n, append(append([]string(nil), leaf.InstanceLocation...), further...)), Msg: msg, Input: shown(in)})
	}
	switch k := leaf.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			add(at, "missing", "Field required", name)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(at.child(name), "extra_forbidden", "Extra inputs are not permitted", name)
		}
	case *kind.Type:
		add(at, typeError(k.Want), "Input should be a valid "+strings.Join(k.Want, " or "))
	case *kind.Enum:
		add(at, "enum", "Input should be "+choices(k.Want))
	case *kind.Const:
		add(at, "literal_error", "Input should be "+choices([]any{k.Want}))
	case *kind.Minimum:
		add(at, "greater_than_equal", "Input should be greater than or equal to "+k.Want.RatString())
	case *kind.Maximum:
		add(at, "less_than_equal", "Input should be less than or equal to "+k.Want.RatString())
	case *kind.ExclusiveMinimum:
		add(at, "greater_than", "Input should be greater than "+k.Want.RatString())
	case *kind.ExclusiveMaximum:
		add(at, "less_than", "Input should be less than "+k.Want.RatString())
	case *kind.MultipleOf:
		add(at, "multiple_of", "Input should be a multiple of "+k.Want.RatString())
	case *kind.MinLength:
		add(at, "string_too_short", fmt.Sprintf("String should have at least %d characters", k.Want))
	case *kind.MaxLength:
		add(at, "string_too_long", fmt.Sprintf("String should have at most %d characters", k.Want))
	case *kind.MinItems:
		add(at, "too_short", fmt.Sprintf("List should have at least %d items", k.Want))
	case *kind.MaxItems:
		add(at, "too_long", fmt.Sprintf("List should have at most %d items", k.Want))
	case *kind.Pattern:
		add(at, "string_pattern_mismatch", "String should match pattern '"+k.Want+"'")
	default:
		add(at, "value_error", leaf.Error())
	}
	return list
}

// typeError is pydantic's name for a wrong type.
func typeError(want []string) string {
	if len(want) != 1 {
		return "type_error"
	}
	switch want[0] {
	case "integer":
		return "int_type"
	case "number":
		return "float_type"
	case "boolean":
		return "bool_type"
	case "array":
		return "list_type"
	case "object":
		return "dict_type"
	case "null":
		return "none_required"
	}
	return "string_type"
}

func choices(values []any) string {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			raw = []byte(fmt.Sprint(v))
		}
		texts = append(texts, string(raw))
	}
	if len(texts) > 1 {
		last := len(texts) - 1
		return strings.Join(texts[:last], ", ") + " or " + texts[last]
	}
	return strings.Join(texts, "")
}

// location is a place as FastAPI writes it: array indexes are numbers.
func location(n *node, path []string) []any {
	loc := []any{"body"}
	for _, name := range path {
		if n.is('[') {
			if i, err := strconv.Atoi(name); err == nil {
				loc = append(loc, i)
				n = n.child(name)
				continue
			}
		}
		loc = append(loc, name)
		n = n.child(name)
	}
	return loc
}

// shown is the wrong value, or its beginning as a string.
func shown(n *node) json.RawMessage {
	if n == nil {
		return json.RawMessage("null")
	}
	raw := n.append(nil)
	if len(raw) > maxInput {
		return quote(strings.ToValidUTF8(string(raw[:maxInput]), "") + "…")
	}
	return raw
}
