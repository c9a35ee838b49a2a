package openapi

import "slices"

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
	aCount // an integer that is not negative
	aBool
	aList
	stringList
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
	"contains": aTest, "propertyNames": aTest, "dependentSchemas": schemaMap, "dependentRequired": anyValue,
	"enum": aList, "const": anyValue, "default": anyValue, "examples": aList, "required": stringList,
	"title": aString, "description": aString, "format": aString, "pattern": aString, "contentEncoding": aString, "contentMediaType": aString,
	"minimum": aNumber, "maximum": aNumber, "exclusiveMinimum": aNumber, "exclusiveMaximum": aNumber, "multipleOf": aNumber,
	"minLength": aCount, "maxLength": aCount, "minItems": aCount, "maxItems": aCount, "minProperties": aCount, "maxProperties": aCount,
	"minContains": aCount, "maxContains": aCount, "uniqueItems": aBool, "deprecated": aBool, "readOnly": aBool, "writeOnly": aBool,
	"$schema": dropped, "$id": dropped, "id": dropped, "$anchor": dropped, "$dynamicAnchor": dropped, "$dynamicRef": dropped, "$recursiveRef": dropped,
	"$recursiveAnchor": dropped, "$vocabulary": dropped, "$comment": dropped, "$defs": dropped, "definitions": dropped, "nullable": dropped,
	"additionalItems": dropped, "dependencies": dropped, "$ref": dropped, "contentSchema": dropped,
	"discriminator": dropped, "xml": dropped, "externalDocs": dropped, "example": dropped,
}

// keyword converts one member of the schema s, or gives nil to leave it out.
func (c *converter) keyword(s *node, name string, v *node) *node {
	kind, known := keywords[name]
	if !known {
		return v
	}
	if kind == aString && v.is('n') || kind == dropped {
		return nil
	}
	if out := c.value(kind, v); out != nil {
		return out
	}
	c.warn("the value of %q is not what JSON Schema has there; it is left out", name)
	return nil
}

// value converts a keyword's value by its kind; nil when it does not fit.
func (c *converter) value(kind int, v *node) *node {
	switch kind {
	case anyValue:
		return v
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
		if v.is('[') {
			return nil // a tuple of older drafts; modernise moves it
		}
		return c.convert(v)
	}
	if fits(kind, v) {
		return v
	}
	return nil
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
	case aList:
		return v.is('[')
	case stringList:
		return v.is('[') && !slices.ContainsFunc(v.items, func(e *node) bool { return !e.is('"') })
	}
	return false
}

// test converts a schema that is not read for its type.
func (c *converter) test(v *node) *node {
	if !v.is('{') || v.get("$ref") != nil {
		return c.convert(v)
	}
	return c.convertBeside(v)
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
		out.set(m.name, c.convert(m.value))
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
	switch t := out.get("type"); {
	case t.is('"'):
		out.set("type", textsNode(t.str(), "null"))
	case out.get("anyOf").is('['):
		out.get("anyOf").items = append(out.get("anyOf").items, objectNode(member{"type", textNode("null")}))
	}
	if values := out.get("enum"); values.is('[') && !slices.ContainsFunc(values.items, func(v *node) bool { return v.is('n') }) {
		out.set("enum", arrayNode(append(slices.Clone(values.items), &node{kind: 'n', raw: []byte("null")})...))
	}
}

// flatten merges a root's allOf, anyOf and oneOf into its properties, because
// clients drop arguments that are not named there. Each call is still checked
// against the tool's own schema.
func flatten(s *node) *node {
	properties := objectNode()
	if own := s.get("properties"); own.is('{') {
		properties.members = slices.Clone(own.members)
	}
	required := texts(s.get("required"))
	for _, name := range []string{"allOf", "anyOf", "oneOf"} {
		list := s.get(name)
		if !list.is('[') {
			continue
		}
		var common []string
		for i, alternative := range list.items {
			part := flatten(alternative)
			for _, m := range part.get("properties").members {
				if properties.get(m.name) == nil {
					properties.members = append(properties.members, m)
				}
			}
			demanded := texts(part.get("required"))
			switch {
			case name == "allOf":
				for _, r := range demanded {
					required = appendNew(required, r)
				}
			case i == 0:
				common = demanded
			default:
				common = slices.DeleteFunc(common, func(r string) bool { return !slices.Contains(demanded, r) })
			}
		}
		for _, r := range common {
			required = appendNew(required, r)
		}
	}
	out := objectNode()
	for _, m := range s.members {
		switch m.name {
		case "allOf", "anyOf", "oneOf", "properties", "required":
		default:
			out.members = append(out.members, m)
		}
	}
	out.set("properties", properties)
	if len(required) > 0 {
		out.set("required", textsNode(required...))
	}
	return out
}

func texts(list *node) []string {
	var l []string
	if list.is('[') {
		for _, e := range list.items {
			l = append(l, e.str())
		}
	}
	return l
}
