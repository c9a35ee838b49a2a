package openapi

import (
	"slices"
	"strings"
)

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

// giveType adds a type to a schema that says it only by its other keywords,
// and items to an array, which some models' providers insist on.
func giveType(s *node) {
	if s.get("type") == nil && s.get("anyOf") == nil {
		for _, m := range typedAs(impliedTypes(s)).members {
			s.set(m.name, m.value)
		}
	}
	if s.get("items") == nil && slices.Contains(schemaTypes(s), "array") {
		s.set("items", anything())
	}
}

// typedAs is a schema of one of the types, or of any without one.
func typedAs(types []string) *node {
	switch len(types) {
	case 0:
		return anything()
	case 1:
		return objectNode(member{"type", textNode(types[0])})
	}
	return objectNode(member{"type", textsNode(types...)})
}

// schemaTypes are the values of "type".
func schemaTypes(s *node) []string {
	if t := s.get("type"); t.is('"') {
		return []string{t.str()}
	}
	return texts(s.get("type"))
}

// keywordTypes tell the type that a keyword is about.
var keywordTypes = [...]struct {
	kind  string
	words []string
}{
	{"object", []string{"properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames", "minProperties",
		"maxProperties", "required", "dependentRequired", "dependentSchemas"}},
	{"array", []string{"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"}},
	{"string", []string{"pattern", "minLength", "maxLength", "format", "contentEncoding", "contentMediaType"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}

// impliedTypes are the types that a schema without one is about; none if it
// does not tell.
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
	if types := memberTypes(s.get("oneOf")); types != nil {
		return types
	}
	for _, part := range s.get("allOf").list() {
		if types := schemaTypes(part); types != nil {
			return types // every part holds, so each limits the types
		}
	}
	return nil
}

// memberTypes is the union of the types of oneOf's members, or nil if one has
// none.
func memberTypes(list *node) []string {
	var types []string
	for _, s := range list.list() {
		own := schemaTypes(s)
		if own == nil {
			return nil
		}
		for _, t := range own {
			types = appendNew(types, t)
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
