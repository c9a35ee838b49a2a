package openapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxSchema bounds, in nodes, what one schema may grow to when its references
// are replaced by what they name.
const maxSchema = 6000

// converter makes one schema readable for clients that know no $ref, want a
// type everywhere, and take an object with properties only.
type converter struct {
	root     *node
	open     []string // references being expanded, to see recursion
	size     int
	warnings []string
}

// convertInput makes the schema of a request's body: an object with
// properties. What cannot be said so becomes free, with a warning.
func convertInput(schema *node) (*node, []string) {
	c := &converter{root: schema}
	n := c.convert(schema)
	n = flatten(n)
	n.set("type", textNode("object"))
	if !n.get("properties").is('{') {
		n.set("properties", objectNode())
	}
	return n, c.warnings
}

// convertOutput makes the schema of a response's body.
func convertOutput(schema *node) (*node, []string) {
	c := &converter{root: schema}
	return c.convert(schema), c.warnings
}

func (c *converter) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

// convert gives a new schema that has a type or an anyOf.
func (c *converter) convert(s *node) *node {
	if c.size++; c.size > maxSchema || len(c.open) > 64 {
		c.warn("the schema is too large to be shown whole; deep parts of it are shown as free objects")
		return cutOff(s)
	}
	switch {
	case s.is('t'):
		return anything()
	case s.is('f'):
		return objectNode(member{"type", textNode("object")}, member{"not", objectNode()})
	case !s.is('{'):
		c.warn("a schema that is neither an object nor a boolean is shown as a free value")
		return anything()
	}
	if ref := s.get("$ref"); ref != nil {
		return c.reference(s, ref)
	}
	out := objectNode()
	for _, m := range s.members {
		if v := c.keyword(s, m.name, m.value); v != nil {
			out.set(m.name, v)
		}
	}
	c.modernise(s, out)
	giveType(out)
	return out
}

// reference puts what is named in place of the reference. Members beside a
// $ref count and win (JSON Schema 2020-12, Core §8.2.3.1).
func (c *converter) reference(s, ref *node) *node {
	beside := objectNode()
	for _, m := range s.members {
		if m.name != "$ref" {
			beside.members = append(beside.members, m)
		}
	}
	name := ref.str()
	target := c.resolve(name)
	switch {
	case target == nil:
		c.warn("the reference %q leads nowhere that mcpo may look; a free value is shown instead", name)
		return merge(anything(), c.convertBeside(beside))
	case slices.Contains(c.open, name):
		return merge(cutOff(target), c.convertBeside(beside))
	}
	c.open = append(c.open, name)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	return merge(c.convert(target), c.convertBeside(beside))
}

// convertBeside converts the members beside a $ref, without giving a type.
func (c *converter) convertBeside(s *node) *node {
	out := objectNode()
	for _, m := range s.members {
		if v := c.keyword(s, m.name, m.value); v != nil {
			out.set(m.name, v)
		}
	}
	c.modernise(s, out)
	return out
}

// merge lays the members of over on base.
func merge(base, over *node) *node {
	for _, m := range over.members {
		base.set(m.name, m.value)
	}
	return base
}

// resolve follows a reference within the document (RFC 6901), or to an $anchor
// or $id in it. Nothing is ever fetched.
func (c *converter) resolve(ref string) *node {
	if id := c.root.get("$id").str(); id != "" {
		if rest, ok := strings.CutPrefix(ref, id); ok && (rest == "" || rest[0] == '#') {
			ref = "#" + strings.TrimPrefix(rest, "#")
		}
	}
	fragment, local := strings.CutPrefix(ref, "#")
	if !local {
		return findNamed(c.root, "$id", ref, 0)
	}
	if decoded, err := url.PathUnescape(fragment); err == nil {
		fragment = decoded
	}
	if fragment == "" {
		return c.root
	}
	path, ok := strings.CutPrefix(fragment, "/")
	if !ok {
		return findNamed(c.root, "$anchor", fragment, 0)
	}
	at := c.root
	for token := range strings.SplitSeq(path, "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		if at.is('[') {
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at.items) {
				return nil
			}
			at = at.items[i]
		} else if at = at.get(token); at == nil {
			return nil
		}
	}
	return at
}

// findNamed looks for a schema that names itself with the keyword.
func findNamed(n *node, keyword, name string, depth int) *node {
	if depth > 100 || n == nil {
		return nil
	}
	if n.get(keyword).str() == name {
		return n
	}
	for _, m := range n.members {
		if found := findNamed(m.value, keyword, name, depth+1); found != nil {
			return found
		}
	}
	for _, item := range n.items {
		if found := findNamed(item, keyword, name, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// cutOff stands for a schema that is not shown further: its type and what it
// says of itself stay.
func cutOff(s *node) *node {
	out := objectNode(member{"type", textNode("object")})
	switch t := s.get("type").str(); {
	case t == "array":
		out = objectNode(member{"type", textNode("array")}, member{"items", anything()})
	case slices.Contains(typeNames[:], t):
		out.set("type", textNode(t))
	}
	for _, name := range []string{"title", "description"} {
		if v := s.get(name); v.is('"') {
			out.set(name, v)
		}
	}
	return out
}

// typeNames are the types of JSON Schema.
var typeNames = [...]string{"string", "number", "integer", "boolean", "object", "array", "null"}

// anything is a schema that every value fits and every client can read.
func anything() *node {
	scalars := func() []*node {
		var l []*node
		for _, t := range []string{"string", "number", "boolean", "object"} {
			l = append(l, objectNode(member{"type", textNode(t)}))
		}
		return l
	}
	array := objectNode(member{"type", textNode("array")}, member{"items", objectNode(member{"anyOf", arrayNode(scalars()...)})})
	null := objectNode(member{"type", textNode("null")})
	return objectNode(member{"anyOf", arrayNode(append(scalars(), array, null)...)})
}

// giveType adds a type to a schema that says it only by its other keywords.
func giveType(s *node) {
	if s.get("type") != nil || s.get("anyOf") != nil {
		return
	}
	if types := impliedTypes(s); len(types) == 1 {
		s.set("type", textNode(types[0]))
	} else if len(types) > 1 {
		s.set("type", textsNode(types...))
	} else {
		s.set("anyOf", anything().get("anyOf"))
	}
}

// keywordTypes tell the type that a keyword is about.
var keywordTypes = [...]struct {
	kind  string
	words []string
}{
	{"object", []string{"properties", "patternProperties", "additionalProperties", "propertyNames", "minProperties", "maxProperties", "required"}},
	{"array", []string{"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}},
	{"string", []string{"pattern", "minLength", "maxLength", "format", "contentEncoding", "contentMediaType"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}

func impliedTypes(s *node) []string {
	if values := s.get("enum"); values.is('[') && len(values.items) > 0 {
		return valueTypes(values.items)
	}
	if value := s.get("const"); value != nil {
		return valueTypes([]*node{value})
	}
	for _, k := range keywordTypes {
		for _, w := range k.words {
			if s.get(w) != nil {
				return []string{k.kind}
			}
		}
	}
	for _, name := range []string{"oneOf", "allOf"} {
		if types := memberTypes(s.get(name)); types != nil {
			return types
		}
	}
	return nil
}

// memberTypes is the union of the types of oneOf's or allOf's members, or nil
// if one has none.
func memberTypes(list *node) []string {
	if !list.is('[') {
		return nil
	}
	var types []string
	for _, s := range list.items {
		t := s.get("type")
		switch {
		case t.is('"'):
			types = appendNew(types, t.str())
		case t.is('['):
			for _, e := range t.items {
				types = appendNew(types, e.str())
			}
		default:
			return nil
		}
	}
	return types
}

func valueTypes(values []*node) []string {
	var types []string
	for _, v := range values {
		switch v.kind {
		case '{':
			types = appendNew(types, "object")
		case '[':
			types = appendNew(types, "array")
		case '"':
			types = appendNew(types, "string")
		case 't', 'f':
			types = appendNew(types, "boolean")
		case 'n':
			types = appendNew(types, "null")
		default:
			if strings.ContainsAny(string(v.raw), ".eE") {
				types = appendNew(types, "number")
			} else {
				types = appendNew(types, "integer")
			}
		}
	}
	return types
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
