package openapi

import "slices"

// flatten makes an object with properties of a converted root. What its allOf,
// anyOf, oneOf and conditions name is merged into its properties, because
// clients drop arguments that are not named there. The result allows what the
// schema allows and more; each call is still checked against the tool's own.
func flatten(s *node) *node {
	all := gatherProperties(s)
	for _, name := range all.required {
		if !all.has[name] { // or no caller could ever give it
			all.add(member{name, anything()})
		}
	}
	out := objectNode()
	for _, m := range s.members {
		switch m.name {
		case "allOf", "anyOf", "oneOf", "properties", "required", "type":
		default:
			out.members = append(out.members, m)
		}
	}
	out.set("type", textNode("object"))
	out.set("properties", objectNode(all.properties...))
	if len(all.required) > 0 {
		out.set("required", textsNode(all.required...))
	}
	return out
}

// shape is what a schema says of an object.
type shape struct {
	properties []member
	has        map[string]bool
	required   []string
}

// add adds a property; the first of a name counts.
func (p *shape) add(m member) {
	if !p.has[m.name] {
		p.has[m.name] = true
		p.properties = append(p.properties, m)
	}
}

func (p *shape) require(names []string) {
	seen := make(map[string]bool, len(p.required))
	for _, name := range p.required {
		seen[name] = true
	}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			p.required = append(p.required, name)
		}
	}
}

// gatherProperties is the shape of the objects that a schema describes.
func gatherProperties(s *node) *shape {
	all := &shape{has: make(map[string]bool)}
	for _, m := range s.get("properties").fields() {
		all.add(m)
	}
	all.require(texts(s.get("required")))
	for _, part := range s.get("allOf").list() {
		p := gatherProperties(part)
		for _, m := range p.properties {
			all.add(m)
		}
		all.require(p.required)
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		u := alternatives(s.get(name).list())
		for _, m := range u.properties {
			all.add(m)
		}
		all.require(u.required)
	}
	conditions := []*node{s.get("if"), s.get("then"), s.get("else")}
	for _, m := range s.get("dependentSchemas").fields() {
		conditions = append(conditions, m.value)
	}
	for _, m := range alternatives(slices.DeleteFunc(conditions, func(n *node) bool { return n == nil })).properties {
		all.add(m)
	}
	return all
}

// alternatives is the shape that takes an object of any of the schemas: what
// only some of them require is not required.
func alternatives(schemas []*node) *shape {
	all := &shape{has: make(map[string]bool)}
	variants := make(map[string][]*node)
	requiring := make(map[string]int)
	objects := 0
	for _, s := range schemas {
		if t := schemaTypes(s); t != nil && !slices.Contains(t, "object") {
			continue // arguments are an object
		}
		objects++
		p := gatherProperties(s)
		for _, m := range p.properties {
			all.add(m)
			variants[m.name] = append(variants[m.name], m.value)
		}
		for _, name := range p.required {
			requiring[name]++
		}
		if objects == 1 {
			all.required = p.required
		}
	}
	all.required = slices.DeleteFunc(slices.Clone(all.required), func(name string) bool { return requiring[name] < objects })
	for i, m := range all.properties {
		all.properties[i].value = oneOfThese(variants[m.name])
	}
	return all
}

// oneOfThese is a schema that takes what any of the schemas takes.
func oneOfThese(schemas []*node) *node {
	var different []*node
	seen := make(map[string]bool)
	for _, s := range schemas {
		if text := string(s.append(nil)); !seen[text] {
			seen[text] = true
			different = append(different, s)
		}
	}
	if len(different) == 1 {
		return different[0]
	}
	return objectNode(member{"anyOf", arrayNode(different...)})
}

func texts(list *node) []string {
	var l []string
	for _, e := range list.list() {
		l = append(l, e.str())
	}
	return l
}
