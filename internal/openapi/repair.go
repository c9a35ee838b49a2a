package openapi

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// repair mends values whose type is wrong in a way that models are known for,
// and reports whether it changed anything.
func repair(n *node, failure *jsonschema.ValidationError) bool {
	changed := false
	eachLeaf(failure, func(leaf *jsonschema.ValidationError) {
		wrong, ok := leaf.ErrorKind.(*kind.Type)
		if !ok || len(leaf.InstanceLocation) == 0 {
			return
		}
		parent, name := n.at(leaf.InstanceLocation[:len(leaf.InstanceLocation)-1]), leaf.InstanceLocation[len(leaf.InstanceLocation)-1]
		value := parent.child(name)
		if value == nil {
			return
		}
		if value.is('n') && parent.is('{') {
			parent.remove(name) // null for a property that may be left out; if it may not, the next check says so
			changed = true
			return
		}
		for _, want := range wrong.Want {
			if mended := coerce(value, want); mended != nil {
				*value = *mended
				changed = true
				return
			}
		}
	})
	return changed
}

// eachLeaf visits the errors that have no cause of their own.
func eachLeaf(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
	}
	for _, cause := range e.Causes {
		eachLeaf(cause, visit)
	}
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
		if n, err := parseNode([]byte(text)); err == nil && n.is('0') {
			return n
		}
	case "boolean":
		if v.is('0') {
			text = string(v.raw)
		}
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1":
			return boolNode(true)
		case "false", "no", "off", "0":
			return boolNode(false)
		}
	case "object", "array":
		first := map[string]byte{"object": '{', "array": '['}[want]
		if n, err := parseStrict([]byte(text)); err == nil && n.is(first) {
			return n
		}
	}
	return nil
}

// wholeNumber reads an integer, also one that is written 1.0 or 1e3.
func wholeNumber(text string) *node {
	n, err := parseNode([]byte(text))
	if err != nil || !n.is('0') || len(text) > 400 {
		return nil
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 4 {
		return nil // an exponent beyond 99 would cost memory
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() {
		return nil
	}
	return &node{kind: '0', raw: []byte(r.Num().String())}
}
