package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// maxDepth bounds how deep JSON may nest.
const maxDepth = 500

// node is one JSON value. Scalars keep their bytes; objects keep the order of
// their members.
type node struct {
	kind    byte // '{', '[', or the first byte of a scalar: '"', 't', 'f', 'n', '0' for numbers
	raw     []byte
	members []member
	items   []*node
	// index says where the members of a large object are; nil for small ones,
	// and not to be trusted without a look, as members may have moved since.
	index map[string]int
}

type member struct {
	name  string
	value *node
}

// syntaxError is invalid JSON, with the place in bytes.
type syntaxError struct {
	at  int
	why string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.why, e.at) }

// parser reads JSON (RFC 8259).
type parser struct {
	data []byte
	at   int
	// twice is where a name appeared a second time, or -1.
	twice     int
	twiceName string
	// check only checks: no nodes are made and names are not compared.
	check bool
	// long is where a number stands that is too long to compute with, or -1.
	long int
}

// maxNumber bounds the bytes of a number, maxExponent the digits of its
// exponent. Exact arithmetic on more would cost the time and memory of many
// calls; a float64 ends at e308.
const (
	maxNumber   = 1000
	maxExponent = 3
)

var errLongNumber = errors.New("a number is too long to compute with")

// parseNode reads one value that fills data.
func parseNode(data []byte) (*node, error) {
	p := parser{data: data, twice: -1, long: -1}
	return p.document()
}

// parseStrict reads one value in which no object names a member twice and
// every number can be computed with.
func parseStrict(data []byte) (*node, error) {
	p := parser{data: data, twice: -1, long: -1}
	n, err := p.document()
	if err == nil && p.twice >= 0 {
		return nil, &syntaxError{p.twice, fmt.Sprintf("the name %q appears twice in one object", p.twiceName)}
	}
	if err == nil && p.long >= 0 {
		return nil, &syntaxError{p.long, errLongNumber.Error()}
	}
	return n, err
}

func (p *parser) document() (*node, error) {
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.data) {
		return nil, p.fail("Extra data")
	}
	return n, nil
}

func (p *parser) fail(why string) error { return &syntaxError{p.at, why} }

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.fail("The value nests too deeply")
	}
	p.space()
	start := p.at
	switch c := p.peek(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		if err := p.text(); err != nil {
			return nil, err
		}
		return p.scalar('"', start), nil
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	}
	if !p.number() {
		p.at = start
		return nil, p.fail("Expecting value")
	}
	return p.scalar('0', start), nil
}

// scalar is the node of what was just passed over.
func (p *parser) scalar(kind byte, start int) *node {
	if p.check {
		return nil
	}
	return &node{kind: kind, raw: p.data[start:p.at]}
}

func (p *parser) literal(word string) (*node, error) {
	end := p.at + len(word)
	if end > len(p.data) || string(p.data[p.at:end]) != word {
		return nil, p.fail("Expecting value")
	}
	start := p.at
	p.at = end
	return p.scalar(word[0], start), nil
}

func (p *parser) object(depth int) (*node, error) {
	var n node
	var names map[string]int // only for objects that are large
	p.at++
	for first := true; ; first = false {
		if p.space(); p.peek() == '}' {
			break
		}
		if !first {
			if p.peek() != ',' {
				return nil, p.fail("Expecting ',' delimiter")
			}
			p.at++
			p.space()
		}
		start := p.at
		if p.peek() != '"' {
			return nil, p.fail("Expecting property name enclosed in double quotes")
		}
		if err := p.text(); err != nil {
			return nil, err
		}
		end := p.at
		if p.space(); p.peek() != ':' {
			return nil, p.fail("Expecting ':' delimiter")
		}
		p.at++
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.check {
			p.member(&n, &names, start, end, v)
		}
	}
	p.at++
	if p.check {
		return nil, nil
	}
	return &node{kind: '{', members: n.members, index: names}, nil
}

// member adds a member whose name stands from start to end. Of two with one
// name the last counts, as most readers have it.
func (p *parser) member(n *node, names *map[string]int, start, end int, v *node) {
	name := unquote(p.data[start:end])
	before := indexOf(n, names, name)
	if before < 0 {
		n.members = append(n.members, member{name, v})
		return
	}
	n.members[before].value = v
	if p.twice < 0 {
		p.twice, p.twiceName = start, name
	}
}

// indexOf finds a name in an object that is being read, or gives -1. names is
// filled once looking through the members would be slow.
func indexOf(n *node, names *map[string]int, name string) int {
	if len(n.members) < manyMembers {
		return slices.IndexFunc(n.members, func(m member) bool { return m.name == name })
	}
	if *names == nil {
		*names = make(map[string]int, 32)
		for i, m := range n.members {
			(*names)[m.name] = i
		}
	}
	if i, ok := (*names)[name]; ok {
		return i
	}
	(*names)[name] = len(n.members)
	return -1
}

// manyMembers is from where on looking through members one by one is slow.
const manyMembers = 16

// sweep takes out the members that were left out, and those only.
func (n *node) sweep() {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.value.kind == leftOut })
	if n.index == nil {
		return
	}
	clear(n.index)
	for i, m := range n.members {
		n.index[m.name] = i
	}
}

// leftOut is the kind of a member's value that sweep will take out.
const leftOut = 0

func (p *parser) array(depth int) (*node, error) {
	var items []*node
	p.at++
	for first := true; ; first = false {
		if p.space(); p.peek() == ']' {
			break
		}
		if !first {
			if p.peek() != ',' {
				return nil, p.fail("Expecting ',' delimiter")
			}
			p.at++
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.check {
			items = append(items, v)
		}
	}
	p.at++
	if p.check {
		return nil, nil
	}
	return &node{kind: '[', items: items}, nil
}

func (p *parser) number() bool {
	start, exponent := p.at, 0
	defer func() {
		if p.long < 0 && (p.at-start > maxNumber || exponent > maxExponent) {
			p.long = start
		}
	}()
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return false
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		first := p.at
		ok := p.digits()
		exponent = p.at - first
		return ok
	}
	return true
}

func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}

// get finds a member by its exact name; nil when there is none, and on nodes
// that are no objects.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	if i, ok := n.index[name]; ok && i < len(n.members) && n.members[i].name == name {
		return n.members[i].value
	}
	for i := range n.members {
		if n.members[i].name == name {
			return n.members[i].value
		}
	}
	return nil
}

// set replaces or adds a member.
func (n *node) set(name string, v *node) {
	for i := range n.members {
		if n.members[i].name == name {
			n.members[i].value = v
			return
		}
	}
	n.members = append(n.members, member{name, v})
}

// remove takes members of that name out.
func (n *node) remove(name string) {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.name == name })
}

// str is the text of a string node, else "".
func (n *node) str() string {
	if n == nil || n.kind != '"' {
		return ""
	}
	return unquote(n.raw)
}

func (n *node) is(kind byte) bool { return n != nil && n.kind == kind }

// append writes the node compactly, scalars with their own bytes.
func (n *node) append(b []byte) []byte {
	switch n.kind {
	case '{':
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, m.name), ':')
			b = m.value.append(b)
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, v := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.append(b)
		}
		return append(b, ']')
	}
	return append(b, n.raw...)
}

// plain is the value as encoding/json has it, numbers as json.Number.
func (n *node) plain() any {
	switch n.kind {
	case '{':
		m := make(map[string]any, len(n.members))
		for _, e := range n.members {
			m[e.name] = e.value.plain()
		}
		return m
	case '[':
		l := make([]any, len(n.items))
		for i, e := range n.items {
			l[i] = e.plain()
		}
		return l
	case '"':
		return unquote(n.raw)
	case 't', 'f':
		return n.kind == 't'
	case 'n':
		return nil
	}
	return json.Number(n.raw)
}

// Makers of nodes.
func textNode(s string) *node { return &node{kind: '"', raw: quote(s)} }
func boolNode(v bool) *node {
	raw := strconv.AppendBool(nil, v)
	return &node{kind: raw[0], raw: raw}
}
func objectNode(members ...member) *node { return &node{kind: '{', members: members} }
func arrayNode(items ...*node) *node     { return &node{kind: '[', items: items} }
func textsNode(texts ...string) *node {
	n := arrayNode()
	for _, s := range texts {
		n.items = append(n.items, textNode(s))
	}
	return n
}
