package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
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
		return &node{kind: '"', raw: p.data[start:p.at]}, nil
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
	return &node{kind: '0', raw: p.data[start:p.at]}, nil
}

func (p *parser) literal(word string) (*node, error) {
	end := p.at + len(word)
	if end > len(p.data) || string(p.data[p.at:end]) != word {
		return nil, p.fail("Expecting value")
	}
	n := &node{kind: word[0], raw: p.data[p.at:end]}
	p.at = end
	return n, nil
}

func (p *parser) object(depth int) (*node, error) {
	n := &node{kind: '{'}
	var names map[string]int // only for objects that are large
	p.at++
	for p.space(); p.peek() != '}'; p.space() {
		if len(n.members) > 0 {
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
		name := unquote(p.data[start:p.at])
		before := indexOf(n, &names, name)
		if before >= 0 && p.twice < 0 {
			p.twice, p.twiceName = start, name
		}
		if p.space(); p.peek() != ':' {
			return nil, p.fail("Expecting ':' delimiter")
		}
		p.at++
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if before >= 0 {
			n.members[before].value = v // the last counts, as most readers have it
			continue
		}
		n.members = append(n.members, member{name, v})
	}
	p.at++
	return n, nil
}

// indexOf finds a name in an object that is being read, or gives -1. names is
// filled once looking through the members would be slow.
func indexOf(n *node, names *map[string]int, name string) int {
	if len(n.members) < 16 {
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

func (p *parser) array(depth int) (*node, error) {
	n := &node{kind: '['}
	p.at++
	for p.space(); p.peek() != ']'; p.space() {
		if len(n.items) > 0 {
			if p.peek() != ',' {
				return nil, p.fail("Expecting ',' delimiter")
			}
			p.at++
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, v)
	}
	p.at++
	return n, nil
}

// text passes over a string.
func (p *parser) text() error {
	for p.at++; p.at < len(p.data); p.at++ {
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return nil
		case c == '\\':
			if !p.escape() {
				return p.fail("Invalid \\escape")
			}
		case c < ' ':
			return p.fail("Invalid control character")
		case c >= utf8.RuneSelf:
			_, size := utf8.DecodeRune(p.data[p.at:])
			if size == 1 {
				return p.fail("Invalid UTF-8")
			}
			p.at += size - 1
		}
	}
	return p.fail("Unterminated string")
}

func (p *parser) escape() bool {
	p.at++
	switch p.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			p.at++
			if c := p.peek(); !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
		return true
	}
	return false
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

// unquote decodes a JSON string that was found valid.
func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if slices.Index(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it was found valid
	return s
}

// quote encodes a JSON string without HTML escapes.
func quote(s string) []byte { return appendQuoted(make([]byte, 0, len(s)+2), s) }

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, "\uFFFD"...)
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// get finds a member by its exact name; nil when there is none, and on nodes
// that are no objects.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
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
