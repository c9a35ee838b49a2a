package openapi

import (
	"slices"
	"strings"
)

// What a keyword's value has to be. A value of another kind would make the
// document invalid and is left out.
const (
	anyValue     = iota
	aSchema      // a schema; shown typed
	aTest        // a schema that only tests (not, if, …): shown without a type being added
	schemaOrBool // additionalProperties and its like, which may stay boolean
	schemaList
	schemaMap
	aString
	aNumber
	aPositive
	aCount // an integer that is not negative
	aBool
	aList
	stringList
	stringLists
	dropped // has done its work, or means nothing to a client
	typeName
	itemsValue
)

// keywords are those of JSON Schema 2020-12, with what older drafts add.
// Members with other names are extensions and pass as they are.
var keywords = map[string]int{
	"type": typeName, "items": itemsValue, "prefixItems": schemaList, "properties": schemaMap, "patternProperties": schemaMap,
	"additionalProperties": schemaOrBool, "unevaluatedProperties": schemaOrBool, "unevaluatedItems": schemaOrBool,
	"allOf": schemaList, "anyOf": schemaList, "oneOf": schemaList, "not": aTest, "if": aTest, "then": aTest, "else": aTest,
	"contains": aTest, "propertyNames": aTest, "dependentSchemas": schemaMap, "dependentRequired": stringLists,
	"enum": aList, "const": anyValue, "default": anyValue, "examples": aList, "required": stringList,
	"title": aString, "description": aString, "format": aString, "pattern": aString, "contentEncoding": aString, "contentMediaType": aString,
	"minimum": aNumber, "maximum": aNumber, "exclusiveMinimum": aNumber, "exclusiveMaximum": aNumber, "multipleOf": aPositive,
	"minLength": aCount, "maxLength": aCount, "minItems": aCount, "maxItems": aCount, "minProperties": aCount, "maxProperties": aCount,
	"minContains": aCount, "maxContains": aCount, "uniqueItems": aBool, "deprecated": aBool, "readOnly": aBool, "writeOnly": aBool,
	"$schema": dropped, "$id": dropped, "id": dropped, "$anchor": dropped, "$dynamicAnchor": dropped, "$dynamicRef": dropped, "$recursiveRef": dropped,
	"$recursiveAnchor": dropped, "$vocabulary": dropped, "$comment": dropped, "$defs": dropped, "definitions": dropped, "nullable": dropped,
	"additionalItems": dropped, "dependencies": dropped, "$ref": dropped, "contentSchema": dropped,
	"discriminator": dropped, "xml": dropped, "externalDocs": dropped, "example": dropped,
}

// keyword converts one member of a schema, or gives nil to leave it out.
func (c *converter) keyword(name string, v *node) *node {
	kind, known := keywords[name]
	switch {
	case !known:
		kind = anyValue
	case kind == dropped, kind == aString && v.is('n'),
		kind == itemsValue && v.is('['), // a tuple of older drafts; modernise moves it
		kind == aNumber && (v.is('t') || v.is('f')) && strings.HasPrefix(name, "exclusive"): // modernise moves it, too
		return nil
	}
	if out := c.value(kind, v); out != nil {
		return out
	}
	c.warn("the value of %.100q is not what clients can read there; it is left out", name)
	return nil
}

// value converts a keyword's value by its kind; nil when it does not fit.
func (c *converter) value(kind int, v *node) *node {
	switch kind {
	case anyValue, aList:
		if kind == aList && !v.is('[') || v.nests(maxNesting) || v.refers() {
			return nil
		}
		return c.grow(v)
	case aSchema:
		return c.convert(v)
	case aTest:
		return c.test(v)
	case schemaOrBool:
		if v.is('t') || v.is('f') {
			return v
		}
		return c.convert(v)
	case schemaList:
		return c.list(v)
	case schemaMap:
		return c.schemas(v)
	case typeName:
		return c.types(v)
	case itemsValue:
		return c.convert(v)
	case stringList:
		return c.strings(v)
	case stringLists:
		return c.dependencies(v)
	}
	if fits(kind, v) {
		return c.grow(v)
	}
	return nil
}

// grow counts a value that a reference brought in.
func (c *converter) grow(v *node) *node {
	if len(c.open) > 0 {
		c.growth += v.length()
	}
	return v
}

// length is how many bytes a value takes, roughly.
func (n *node) length() int {
	sum := len(n.raw)
	for _, m := range n.members {
		sum += len(m.name) + 4 + m.value.length()
	}
	for _, v := range n.items {
		sum += 1 + v.length()
	}
	return sum
}

// nests reports whether values stand within each other more than depth times.
func (n *node) nests(depth int) bool {
	return depth < 0 || slices.ContainsFunc(n.items, func(v *node) bool { return v.nests(depth - 1) }) ||
		slices.ContainsFunc(n.members, func(m member) bool { return m.value.nests(depth - 1) })
}

func fits(kind int, v *node) bool {
	switch kind {
	case aString:
		return v.is('"')
	case aNumber:
		return v.is('0')
	case aCount:
		return v.is('0') && !slices.ContainsFunc(v.raw, func(b byte) bool { return b < '0' || b > '9' })
	case aBool:
		return v.is('t') || v.is('f')
	case aPositive:
		return v.is('0') && v.raw[0] != '-' && strings.ContainsAny(numerator(v.raw), "123456789")
	}
	return false
}

// numerator is a number without its exponent.
func numerator(raw []byte) string {
	digits, _, _ := strings.Cut(strings.ToLower(string(raw)), "e")
	return digits
}

// strings converts a list of names. One name alone stands for a list, and a
// name that is there twice counts once.
func (c *converter) strings(v *node) *node {
	if v.is('"') {
		return arrayNode(v)
	}
	if !v.is('[') {
		return nil
	}
	out := arrayNode()
	seen := make(map[string]bool)
	for _, e := range v.items {
		if name := e.str(); e.is('"') && !seen[name] {
			seen[name] = true
			out.items = append(out.items, e)
		}
	}
	return c.grow(out)
}

func (c *converter) dependencies(v *node) *node {
	if !v.is('{') {
		return nil
	}
	out := objectNode()
	for _, m := range v.members {
		if list := c.strings(m.value); list != nil {
			out.members = append(out.members, member{m.name, list})
		}
	}
	return out
}

// refers reports whether an object in a value has a $ref: readers that resolve
// references everywhere in a document would follow it.
func (n *node) refers() bool {
	return n.get("$ref") != nil || slices.ContainsFunc(n.items, (*node).refers) ||
		slices.ContainsFunc(n.members, func(m member) bool { return m.value.refers() })
}

// test converts a schema that is not read for its type.
func (c *converter) test(v *node) *node {
	if !v.is('{') || v.get("$ref") != nil {
		return c.convert(v)
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.size++; c.size > maxSchema || c.growth > maxGrowth || c.depth > maxNesting {
		return c.convert(v) // which cuts it off
	}
	return c.members(v)
}

func (c *converter) list(v *node) *node {
	if !v.is('[') || len(v.items) == 0 {
		return nil
	}
	out := arrayNode()
	for _, s := range v.items {
		out.items = append(out.items, c.convert(s))
	}
	return out
}

func (c *converter) schemas(v *node) *node {
	if !v.is('{') {
		return nil
	}
	out := objectNode()
	for _, m := range v.members {
		out.members = append(out.members, member{m.name, c.convert(m.value)})
		if len(c.open) > 0 {
			c.growth += len(m.name)
		}
	}
	return out
}

// misspelled are type names that servers use and JSON Schema does not know.
var misspelled = map[string]string{
	"int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number", "str": "string", "text": "string",
	"bool": "boolean", "dict": "object", "map": "object", "record": "object", "list": "array", "tuple": "array", "none": "null",
}

// types converts the value of "type". What is no type says nothing, and the
// schema is typed by its other keywords.
func (c *converter) types(v *node) *node {
	if v.is('"') {
		if t, ok := c.typeOf(v); ok {
			return textNode(t)
		}
		return nil
	}
	if !v.is('[') {
		return nil
	}
	var names []string
	for _, e := range v.items {
		if t, ok := c.typeOf(e); ok {
			names = appendNew(names, t)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return textsNode(names...)
}

func (c *converter) typeOf(v *node) (string, bool) {
	name := v.str()
	if better, ok := misspelled[name]; ok {
		c.warn("the type %q is shown as %q", name, better)
		name = better
	}
	return name, slices.Contains(typeNames[:], name)
}

// modernise says in the words of 2020-12 what s says in those of older drafts
// and of OpenAPI 3.0.
func (c *converter) modernise(s, out *node) {
	if tuple := s.get("items"); tuple.is('[') {
		if first := c.list(tuple); first != nil {
			out.set("prefixItems", first)
		}
		if rest := s.get("additionalItems"); rest != nil {
			out.set("items", c.convert(rest))
		}
	}
	for _, bound := range []string{"minimum", "maximum"} {
		exclusive := "exclusive" + map[string]string{"minimum": "Minimum", "maximum": "Maximum"}[bound]
		if s.get(exclusive).is('t') && s.get(bound).is('0') {
			out.set(exclusive, s.get(bound))
			out.remove(bound)
		}
	}
	if s.get("nullable").is('t') {
		allowNull(out)
	}
	if e := s.get("example"); e != nil && s.get("examples") == nil {
		out.set("examples", arrayNode(e))
	}
}

// allowNull is OpenAPI 3.0's nullable in JSON Schema's words.
func allowNull(out *node) {
	if types := schemaTypes(out); types != nil && !slices.Contains(types, "null") {
		out.set("type", textsNode(append(types, "null")...))
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		list := out.get(name)
		if list.is('[') && !slices.ContainsFunc(list.items, func(s *node) bool { return slices.Contains(schemaTypes(s), "null") }) {
			out.set(name, arrayNode(append(slices.Clone(list.items), objectNode(member{"type", textNode("null")}))...))
		}
	}
	if values := out.get("enum"); values.is('[') && !slices.ContainsFunc(values.items, func(v *node) bool { return v.is('n') }) {
		out.set("enum", arrayNode(append(slices.Clone(values.items), &node{kind: 'n', raw: []byte("null")})...))
	}
}
