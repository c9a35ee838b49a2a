package openapi

import (
	"fmt"
	"slices"
)

// What a schema may grow to when its references are replaced by what they
// name. What its author wrote out is not counted: that is as long as it is.
const (
	maxSchema  = 6000      // schemas within one schema
	maxGrowth  = 256 << 10 // bytes of keywords that references brought in
	maxNesting = 48        // schemas within each other: readers are recursive
	maxWarning = 10        // kinds of warnings about one schema
)

// converter makes one schema readable for clients that know no $ref, want a
// type everywhere, and take an object with properties only.
type converter struct {
	root     *node
	named    map[string]*node // by $id, and by $anchor after a #; nil until needed
	open     []*node          // what references being replaced name, to see recursion
	size     int
	growth   int
	depth    int
	warnings []string
}

// convertInput makes the schema of a request's body: an object with
// properties. What cannot be said so becomes free, with a warning.
func convertInput(schema *node) (*node, []string) {
	c := &converter{root: schema}
	return flatten(c.convert(schema)), c.warnings
}

// convertOutput makes the schema of a response's body.
func convertOutput(schema *node) (*node, []string) {
	c := &converter{root: schema}
	return c.convert(schema), c.warnings
}

func (c *converter) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(c.warnings) < maxWarning && !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

// convert gives a new schema that has a type or an anyOf.
func (c *converter) convert(s *node) *node {
	c.size++
	c.depth++
	defer func() { c.depth-- }()
	switch {
	case c.size > maxSchema || c.growth > maxGrowth || c.depth > maxNesting:
		c.warn("the schema is too large to be shown whole; deep parts of it are shown as free values")
		return c.cutOff(s, false)
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
	out := c.members(s)
	giveType(out)
	return out
}

// members converts a schema's members, but for a $ref, without giving a type.
func (c *converter) members(s *node) *node {
	out := objectNode()
	for _, m := range s.members {
		if v := c.keyword(m.name, m.value); v != nil {
			out.members = append(out.members, member{m.name, v})
		}
	}
	c.modernise(s, out)
	return out
}

// reference puts what is named in place of the reference. Members beside a
// $ref count as well (JSON Schema 2020-12, Core §8.2.3.1).
func (c *converter) reference(s, ref *node) *node {
	target := c.resolve(ref.str())
	if target == nil || !ref.is('"') {
		c.warn("the reference %.100q leads nowhere that mcpo may look; a free value is shown instead", ref.str())
		out := c.members(s)
		giveType(out)
		return out
	}
	if slices.Contains(c.open, target) {
		return c.combine(c.cutOff(target, true), s)
	}
	c.open = append(c.open, target)
	base := c.convert(target)
	c.open = c.open[:len(c.open)-1]
	return c.combine(base, s)
}

// combine lays the members of s on base, which was referred to. Where both
// say something of the same that can be kept, both are.
func (c *converter) combine(base, s *node) *node {
	for _, m := range c.members(s).members {
		have := base.get(m.name)
		switch {
		case have == nil:
			base.members = append(base.members, m)
		case m.name == "properties" || m.name == "patternProperties":
			base.set(m.name, combineProperties(have, m.value))
		case m.name == "required":
			all := texts(have)
			for _, name := range texts(m.value) {
				all = appendNew(all, name)
			}
			base.set(m.name, textsNode(all...))
		case m.name == "allOf":
			base.set(m.name, arrayNode(slices.Concat(have.items, m.value.items)...))
		case m.name == "anyOf" || m.name == "oneOf":
			first := objectNode(member{m.name, have})
			giveType(first)
			base.set(m.name, m.value)
			base.set("allOf", arrayNode(append(slices.Clone(base.get("allOf").list()), first)...))
		default:
			base.set(m.name, m.value)
		}
	}
	if s.get("nullable").is('t') {
		allowNull(base)
	}
	return base
}

func combineProperties(base, over *node) *node {
	out := objectNode(slices.Clone(base.members)...)
	for _, m := range over.members {
		out.set(m.name, m.value)
	}
	return out
}

// cutOff stands for a schema that is not shown further: its type stays, and,
// if wanted, what it says of itself in words.
func (c *converter) cutOff(s *node, words bool) *node {
	described := s
	for range 8 { // a chain of references
		ref := s.get("$ref")
		if ref == nil {
			break
		}
		s = c.resolve(ref.str())
	}
	out := objectNode()
	if t := s.get("type"); t != nil {
		if t = c.types(t); t != nil {
			out.set("type", t)
		}
	} else if s.is('{') {
		out = typedAs(impliedTypes(s))
	}
	giveType(out)
	if !words {
		return out
	}
	for _, name := range []string{"title", "description"} {
		if v := described.get(name); v.is('"') {
			c.growth += len(v.raw)
			out.set(name, v)
		}
	}
	return out
}
