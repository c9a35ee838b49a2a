package openapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
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
	maxDetails  = 100
	maxFindings = 10_000 // looked at to choose the details from
	maxInput    = 2 << 10
)

func invalidJSON(err error) *InvalidBody {
	d := Detail{Type: "json_invalid", Loc: []any{"body", 0}, Msg: "JSON decode error", Input: json.RawMessage("{}"), Ctx: map[string]string{"error": err.Error()}}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		d.Loc[1], d.Ctx["error"] = syntax.at, syntax.why
	}
	return &InvalidBody{[]Detail{d}}
}

// invalid words the validator's findings on a body that could not be mended.
func (op *Operation) invalid(m mender, failure *jsonschema.ValidationError) *InvalidBody {
	var list []Detail
	for _, leaf := range findings(failure) {
		if list = append(list, m.details(leaf)...); len(list) > maxFindings {
			break
		}
	}
	op.sort(list)
	list = slices.CompactFunc(list, func(a, b Detail) bool {
		return a.Type == b.Type && a.Msg == b.Msg && slices.Equal(a.Loc, b.Loc)
	})
	return &InvalidBody{list[:min(len(list), maxDetails)]}
}

// findings are the errors that have no cause of their own. What alternatives
// want of one value is said in one.
func findings(failure *jsonschema.ValidationError) []*jsonschema.ValidationError {
	var list []*jsonschema.ValidationError
	types, values := map[string]*kind.Type{}, map[string]*kind.Enum{}
	eachLeaf(failure, func(leaf *jsonschema.ValidationError) {
		if len(list) > maxFindings {
			return
		}
		at := place(leaf.InstanceLocation)
		switch k := leaf.ErrorKind.(type) {
		case *kind.Type:
			if earlier := types[at]; earlier != nil {
				for _, t := range k.Want {
					earlier.Want = appendNew(earlier.Want, t)
				}
				return
			}
			types[at] = &kind.Type{Want: slices.Clone(k.Want)}
			leaf = &jsonschema.ValidationError{InstanceLocation: leaf.InstanceLocation, ErrorKind: types[at]}
		case *kind.Enum, *kind.Const:
			want, single := []any(nil), false
			if e, ok := k.(*kind.Enum); ok {
				want = e.Want
			} else if c, ok := k.(*kind.Const); ok {
				want, single = []any{c.Want}, true
			}
			if earlier := values[at]; earlier != nil {
				earlier.Want = append(earlier.Want, want...)
				return
			}
			values[at] = &kind.Enum{Got: single, Want: slices.Clone(want)}
			leaf = &jsonschema.ValidationError{InstanceLocation: leaf.InstanceLocation, ErrorKind: values[at]}
		}
		list = append(list, leaf)
	})
	return list
}

// sort orders by the properties as the schema has them, then by name: the
// validator walks through maps.
func (op *Operation) sort(list []Detail) {
	ranks := map[string]int{}
	if schema, err := parseNode(op.schema); err == nil {
		rank(schema, ranks)
	}
	slices.SortStableFunc(list, func(a, b Detail) int {
		for i := range min(len(a.Loc), len(b.Loc)) {
			if c := compareStep(a.Loc[i], b.Loc[i], ranks); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(len(a.Loc), len(b.Loc)), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Msg, b.Msg))
	})
}

// rank numbers the names of properties as they come in a schema.
func rank(schema *node, ranks map[string]int) {
	for _, m := range schema.get("properties").fields() {
		if _, ok := ranks[m.name]; !ok {
			ranks[m.name] = len(ranks)
		}
	}
	for _, m := range schema.members {
		rank(m.value, ranks)
	}
	for _, s := range schema.items {
		rank(s, ranks)
	}
}

func compareStep(a, b any, ranks map[string]int) int {
	i, aIndex := a.(int)
	j, bIndex := b.(int)
	if aIndex && bIndex {
		return cmp.Compare(i, j)
	}
	s, t := fmt.Sprint(a), fmt.Sprint(b)
	rankOf := func(name string) int {
		if r, ok := ranks[name]; ok {
			return r
		}
		return len(ranks)
	}
	return cmp.Or(cmp.Compare(rankOf(s), rankOf(t)), cmp.Compare(s, t))
}

// details words one finding.
func (m *mender) details(leaf *jsonschema.ValidationError) []Detail {
	n := m.body
	at := n.at(leaf.InstanceLocation)
	var list []Detail
	add := func(in *node, typ, msg string, further ...string) {
		path := append(slices.Clone(leaf.InstanceLocation), further...)
		list = append(list, Detail{Type: typ, Loc: location(n, path), Msg: msg, Input: shown(in)})
	}
	switch k := leaf.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			if null := m.nulls[place(append(slices.Clone(leaf.InstanceLocation), name))]; null != nil {
				list = append(list, m.details(null)...)
				continue
			}
			add(at, "missing", "Field required", name)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties[:min(len(k.Properties), maxFindings)] {
			add(at.child(name), "extra_forbidden", "Extra inputs are not permitted", name)
		}
	case *kind.Type:
		typ, msg := typeError(k.Want, at)
		add(at, typ, msg)
	case *kind.Enum:
		typ := "enum"
		if k.Got == true && len(k.Want) == 1 {
			typ = "literal_error"
		}
		add(at, typ, "Input should be "+choices(k.Want))
	case *kind.Const:
		add(at, "literal_error", "Input should be "+choices([]any{k.Want}))
	case *kind.Minimum:
		add(at, "greater_than_equal", "Input should be greater than or equal to "+decimal(k.Want))
	case *kind.Maximum:
		add(at, "less_than_equal", "Input should be less than or equal to "+decimal(k.Want))
	case *kind.ExclusiveMinimum:
		add(at, "greater_than", "Input should be greater than "+decimal(k.Want))
	case *kind.ExclusiveMaximum:
		add(at, "less_than", "Input should be less than "+decimal(k.Want))
	case *kind.MultipleOf:
		add(at, "multiple_of", "Input should be a multiple of "+decimal(k.Want))
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
	case *kind.PropertyNames:
		add(at.child(k.Property), "value_error", fmt.Sprintf("The name %q is not permitted here", k.Property), k.Property)
	case *kind.FalseSchema:
		add(at, "value_error", "Extra inputs are not permitted")
	default:
		add(at, "value_error", leaf.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
	return list
}

// typeError is pydantic's name and sentence for a value of the wrong type.
func typeError(want []string, in *node) (typ, msg string) {
	msg = "Input should be a valid " + strings.Join(want, " or ")
	if len(want) != 1 {
		return "type_error", msg
	}
	text, number := in.is('"'), in.is('0')
	switch want[0] {
	case "integer":
		switch {
		case text:
			return "int_parsing", msg + ", unable to parse string as an integer"
		case number:
			return "int_from_float", msg + ", got a number with a fractional part"
		}
		return "int_type", msg
	case "number":
		if text {
			return "float_parsing", msg + ", unable to parse string as a number"
		}
		return "float_type", msg
	case "boolean":
		if text || number {
			return "bool_parsing", msg + ", unable to interpret input"
		}
		return "bool_type", msg
	case "array":
		return "list_type", msg
	case "object":
		return "dict_type", msg
	case "null":
		return "none_required", "Input should be null"
	}
	return "string_type", msg
}

// decimal writes a bound as JSON would, where that is possible.
func decimal(r *big.Rat) string {
	if digits, exact := r.FloatPrec(); exact {
		return r.FloatString(digits)
	}
	return r.RatString()
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
