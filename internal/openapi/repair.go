package openapi

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// mender mends a body's values whose type is wrong in a way that models are
// known for.
type mender struct {
	body *node
	// nulls are the findings on nulls that were left out, by place: if the
	// property turns out to be required, they are what is wrong.
	nulls map[string]*jsonschema.ValidationError
}

// mend is a change to a value: to another one, or nil to leave it out.
type mend struct {
	finding *jsonschema.ValidationError
	to      *node
}

// repair mends what the validator found, and reports whether it changed
// anything.
func (m *mender) repair(failure *jsonschema.ValidationError) bool {
	mends, _ := m.plan(failure)
	swept := map[*node]bool{}
	for _, d := range mends {
		if parent := m.apply(d); parent != nil {
			swept[parent] = true
		}
	}
	for parent := range swept {
		parent.sweep()
	}
	return len(mends) > 0
}

// plan gathers the mends for a finding and says whether they cover all of it.
// Of alternatives only one that is covered is worth mending.
func (m *mender) plan(e *jsonschema.ValidationError) ([]mend, bool) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return m.alternative(e.Causes)
	}
	if len(e.Causes) == 0 || coversCauses(e.ErrorKind) {
		d, ok := m.leaf(e)
		if !ok {
			return nil, false
		}
		return []mend{d}, true
	}
	all, covered := []mend(nil), true
	for _, cause := range e.Causes {
		mends, ok := m.plan(cause)
		all, covered = append(all, mends...), covered && ok
	}
	return all, covered
}

// alternative chooses the first alternative that mending may satisfy; one that
// needs a boolean only if there is no other, as "1" is rather a number.
func (m *mender) alternative(causes []*jsonschema.ValidationError) (best []mend, ok bool) {
	for _, cause := range causes {
		mends, covered := m.plan(cause)
		if !covered {
			continue
		}
		if len(mends) != 1 || mends[0].to == nil || !(mends[0].to.is('t') || mends[0].to.is('f')) {
			return mends, true
		}
		if !ok {
			best, ok = mends, true
		}
	}
	return best, ok
}

// leaf plans the mend of one value.
func (m *mender) leaf(e *jsonschema.ValidationError) (mend, bool) {
	value := m.body.at(e.InstanceLocation)
	if value == nil || len(e.InstanceLocation) == 0 {
		return mend{}, false
	}
	if value.is('n') {
		return mend{finding: e}, m.body.at(e.InstanceLocation[:len(e.InstanceLocation)-1]).is('{')
	}
	for _, want := range wanted(e.ErrorKind) {
		if mended := coerce(value, want); mended != nil {
			return mend{e, mended}, true
		}
	}
	return mend{}, false
}

// apply makes a change. It gives the object whose member it left out, which is
// to be swept once all is applied: one by one would be slow.
func (m *mender) apply(d mend) (parent *node) {
	path := d.finding.InstanceLocation
	object, name := m.body.at(path[:len(path)-1]), path[len(path)-1]
	switch value := object.child(name); {
	case value == nil, value.kind == leftOut:
	case d.to != nil:
		*value = *d.to
	default:
		if m.nulls == nil {
			m.nulls = make(map[string]*jsonschema.ValidationError)
		}
		m.nulls[place(path)] = d.finding
		*value = node{kind: leftOut}
		return object
	}
	return nil
}

// place is a location as a key.
func place(path []string) string { return strings.Join(path, "\x00") }

// wanted lists the types that would satisfy a finding, the closest first.
func wanted(k jsonschema.ErrorKind) []string {
	var want []string
	switch k := k.(type) {
	case *kind.Type:
		want = k.Want
	case *kind.Enum:
		want = typesOf(k.Want)
	case *kind.Const:
		want = typesOf([]any{k.Want})
	}
	var ordered []string
	for _, t := range []string{"integer", "number", "object", "array", "boolean"} {
		if slices.Contains(want, t) {
			ordered = append(ordered, t)
		}
	}
	return ordered
}

func typesOf(values []any) []string {
	var types []string
	for _, v := range values {
		switch v.(type) {
		case json.Number:
			types = append(types, "number")
		case bool:
			types = append(types, "boolean")
		}
	}
	return types
}

// eachLeaf visits the errors that have no cause of their own, or whose causes
// are about something else than the body's own values.
func eachLeaf(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 || coversCauses(e.ErrorKind) {
		visit(e)
		return
	}
	for _, cause := range e.Causes {
		eachLeaf(cause, visit)
	}
}

func coversCauses(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.PropertyNames, *kind.Contains, *kind.MinContains, *kind.ContentSchema:
		return true
	}
	return false
}

// at follows a location; nil when it leads nowhere.
func (n *node) at(location []string) *node {
	for _, name := range location {
		if n = n.child(name); n == nil {
			return nil
		}
	}
	return n
}

func (n *node) child(name string) *node {
	if n.is('[') {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		return n.items[i]
	}
	return n.get(name)
}

// coerce makes a value of the wanted type of one that says the same, or nil.
func coerce(v *node, want string) *node {
	text := strings.TrimSpace(v.str())
	switch want {
	case "integer":
		if v.is('0') {
			text = string(v.raw)
		}
		return wholeNumber(text)
	case "number":
		return held(text, '0')
	case "boolean":
		if v.is('0') {
			text = string(v.raw)
		}
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1", "1.0":
			return boolNode(true)
		case "false", "no", "off", "0", "0.0":
			return boolNode(false)
		}
	case "object":
		return held(text, '{')
	case "array":
		return held(text, '[')
	}
	return nil
}

// held is the JSON value in a text, if it is of the kind.
func held(text string, kind byte) *node {
	if n, err := parseStrict([]byte(text)); err == nil && n.is(kind) {
		return n
	}
	return nil
}

// wholeNumber reads an integer, also one that is written 1.0 or 1e3.
func wholeNumber(text string) *node {
	if held(text, '0') == nil {
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() {
		return nil
	}
	return &node{kind: '0', raw: []byte(r.Num().String())}
}
