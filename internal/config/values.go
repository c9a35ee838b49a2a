package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// object gives the members in order. It reports a value of another kind, and
// names that appear twice.
func (r *reader) object(v hujson.Value, path string) ([]hujson.ObjectMember, bool) {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		r.problem(v, path, `write {"name": value, …}`, "this must be an object, not %s", kindOf(v))
		return nil, false
	}
	seen := map[string]bool{}
	for _, m := range o.Members {
		if name := nameOf(m); seen[name] {
			r.problem(m.Name, join(path, name), "keep one of the two", "this name appears twice")
		} else {
			seen[name] = true
		}
	}
	return o.Members, true
}

func nameOf(m hujson.ObjectMember) string {
	if l, ok := m.Name.Value.(hujson.Literal); ok {
		return l.String()
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// kindOf names a value's kind for people.
func kindOf(v hujson.Value) string {
	switch l := v.Value.(type) {
	case *hujson.Object:
		return "an object"
	case *hujson.Array:
		return "a list"
	case hujson.Literal:
		switch l.Kind() {
		case '"':
			return "a string"
		case 'n':
			return "null"
		case 't', 'f':
			return "true or false"
		}
		return "a number"
	}
	return "nothing"
}

func isNull(v hujson.Value) bool {
	l, ok := v.Value.(hujson.Literal)
	return ok && l.Kind() == 'n'
}

// text reads a string and expands it.
func (r *reader) text(v hujson.Value, path string) string {
	l, ok := v.Value.(hujson.Literal)
	if !ok || l.Kind() != '"' {
		r.problem(v, path, "put it in double quotes", "this must be a string, not %s", kindOf(v))
		return ""
	}
	return r.expand(v, path, l.String())
}

// filled reads a string that must not be empty.
func (r *reader) filled(v hujson.Value, path, hint string) string {
	before := len(r.problems)
	s := r.text(v, path)
	if s == "" && len(r.problems) == before {
		r.problem(v, path, hint, "this is empty")
	}
	return s
}

// reference is ${VAR}, ${VAR:-default}, ${file:/path}, or $${ for a plain ${.
var reference = regexp.MustCompile(`\$\$\{|\$\{[^{}]*\}`)

// expand replaces references in a string.
func (r *reader) expand(v hujson.Value, path, s string) string {
	return reference.ReplaceAllStringFunc(s, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		name := ref[2 : len(ref)-1]
		if file, ok := strings.CutPrefix(name, "file:"); ok {
			data, err := r.read(file)
			if err != nil {
				r.problem(v, path, "it must be readable by mcpo", "the file of %s cannot be read: %v", ref, reasonOnly(err))
			}
			return strings.TrimRight(string(data), "\r\n")
		}
		name, otherwise, hasDefault := strings.Cut(name, ":-")
		if value, ok := r.env(name); ok && (value != "" || !hasDefault) {
			return value
		}
		if !hasDefault {
			r.problem(v, path, fmt.Sprintf("set it, or write ${%s:-default}; $${ is a plain ${", name), "the environment variable %q is not set", name)
		}
		return otherwise
	})
}

// reasonOnly leaves the path out, which the message has already.
func reasonOnly(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// list reads a list of strings.
func (r *reader) list(v hujson.Value, path string) []string {
	a, ok := v.Value.(*hujson.Array)
	if !ok {
		r.problem(v, path, `write ["one", "two"]`, "this must be a list of strings, not %s", kindOf(v))
		return nil
	}
	items := make([]string, 0, len(a.Elements))
	for i, e := range a.Elements {
		items = append(items, r.text(e, fmt.Sprintf("%s[%d]", path, i)))
	}
	return items
}

// texts reads an object of strings. Numbers and booleans count as their text.
func (r *reader) texts(v hujson.Value, path string) map[string]string {
	members, ok := r.object(v, path)
	if !ok {
		return nil
	}
	m := make(map[string]string, len(members))
	for _, member := range members {
		name := nameOf(member)
		if l, ok := member.Value.Value.(hujson.Literal); ok && l.Kind() != '"' && l.Kind() != 'n' {
			m[name] = string(l)
			continue
		}
		m[name] = r.text(member.Value, join(path, name))
	}
	return m
}

func (r *reader) boolean(v hujson.Value, path string) bool {
	if l, ok := v.Value.(hujson.Literal); ok && (l.Kind() == 't' || l.Kind() == 'f') {
		return l.Bool()
	}
	r.problem(v, path, "write it without quotes", "this must be true or false, not %s", kindOf(v))
	return false
}

// duration reads seconds, or text such as "90s".
func (r *reader) duration(v hujson.Value, path string) time.Duration {
	l, ok := v.Value.(hujson.Literal)
	var d time.Duration
	var err error
	switch {
	case ok && l.Kind() == '0':
		if seconds := l.Float(); seconds < math.MaxInt64/float64(time.Second) {
			d = time.Duration(seconds * float64(time.Second))
		}
	case ok && l.Kind() == '"':
		d, err = time.ParseDuration(r.expand(v, path, l.String()))
	default:
		err = fmt.Errorf("not %s", kindOf(v))
	}
	if err != nil || d <= 0 {
		r.problem(v, path, `write seconds, or text such as "90s" or "5m"`, "this must be a time longer than zero")
		return 0
	}
	return d
}

// block keeps a value as standard JSON, with the references in its strings
// expanded; nil stands for null.
func (r *reader) block(v hujson.Value, path string) json.RawMessage {
	if isNull(v) {
		return nil
	}
	v = v.Clone()
	r.expandAll(&v, path)
	v.Minimize()
	return v.Pack()
}

func (r *reader) expandAll(v *hujson.Value, path string) {
	switch value := v.Value.(type) {
	case *hujson.Object:
		_, _ = r.object(*v, path) // reports names that appear twice
		for i := range value.Members {
			m := &value.Members[i]
			r.expandAll(&m.Value, join(path, nameOf(*m)))
		}
	case *hujson.Array:
		for i := range value.Elements {
			r.expandAll(&value.Elements[i], fmt.Sprintf("%s[%d]", path, i))
		}
	case hujson.Literal:
		if value.Kind() == '"' {
			v.Value = hujson.String(r.expand(*v, path, value.String()))
		}
	}
}
