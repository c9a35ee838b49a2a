package openapi

import (
	"net/url"
	"strconv"
	"strings"
)

// resolve follows a reference within the schema (RFC 6901), or to an $anchor
// or $id in it. Nothing is ever fetched.
func (c *converter) resolve(ref string) *node {
	if id := c.root.get("$id").str(); id != "" {
		if rest, ok := strings.CutPrefix(ref, id); ok && (rest == "" || rest[0] == '#') {
			ref = "#" + strings.TrimPrefix(rest, "#")
		}
	}
	base, fragment, _ := strings.Cut(ref, "#")
	at := c.root
	if base != "" {
		if at = c.find(base); at == nil {
			return nil
		}
	}
	if decoded, err := url.PathUnescape(fragment); err == nil {
		fragment = decoded
	}
	if fragment == "" {
		return at
	}
	path, ok := strings.CutPrefix(fragment, "/")
	if !ok {
		return c.find("#" + fragment)
	}
	return at.follow(path)
}

// follow walks along a JSON pointer, without its first slash.
func (n *node) follow(path string) *node {
	for token := range strings.SplitSeq(path, "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		if !n.is('[') {
			if n = n.get(token); n == nil {
				return nil
			}
			continue
		}
		i, err := strconv.Atoi(token)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// find gives the schema with an $id, or with an $anchor after a #.
func (c *converter) find(name string) *node {
	if c.named == nil {
		c.named = make(map[string]*node)
		c.gather(c.root)
	}
	return c.named[name]
}

// gather notes what schemas call themselves. The first of a name counts.
func (c *converter) gather(n *node) {
	note := func(name string) {
		if _, twice := c.named[name]; !twice {
			c.named[name] = n
		}
	}
	for _, m := range n.members {
		switch {
		case m.name == "$id" && m.value.is('"'):
			id := m.value.str()
			note(id)
			if strings.HasPrefix(id, "#") { // as draft-07 writes an anchor
				break
			}
			note(strings.TrimSuffix(id, "#"))
		case m.name == "$anchor" && m.value.is('"'):
			note("#" + m.value.str())
		}
		c.gather(m.value)
	}
	for _, item := range n.items {
		c.gather(item)
	}
}
