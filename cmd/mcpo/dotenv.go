package main

import (
	"fmt"
	"strings"
)

// parseDotenv reads the variables of a dotenv file: lines of KEY=VALUE, with an
// optional "export", comments behind #, and values bare, in 'single quotes'
// (taken as they are) or in "double quotes" (with \n, \t, \" and the like).
// Quoted values may span lines. ${NAME} and ${NAME:-default} stand for earlier
// variables of the file or, failing that, of env, except in single quotes. A
// lone KEY sets nothing. Errors name the line, and never the value.
func parseDotenv(text string, env lookup) (map[string]string, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	r := &dotenvReader{rest: text, line: 1, env: env, vars: map[string]string{}}
	for r.rest != "" {
		if err := r.statement(); err != nil {
			return nil, err
		}
	}
	return r.vars, nil
}

// dotenvReader is the state between two statements of a dotenv file.
type dotenvReader struct {
	rest string
	line int
	env  lookup
	vars map[string]string
}

// statement reads one line, or several where a quoted value spans them.
func (r *dotenvReader) statement() error {
	line, _, _ := strings.Cut(r.rest, "\n")
	bare := strings.TrimSpace(line)
	if bare == "" || bare[0] == '#' {
		r.skip(line)
		return nil
	}
	key, _, assigned := strings.Cut(line, "=")
	name := strings.TrimSpace(key)
	if exported, ok := strings.CutPrefix(name, "export "); ok {
		name = strings.TrimSpace(exported)
	}
	if !assigned {
		r.skip(line)
		return nil
	}
	if !isVariableName(name) {
		return fmt.Errorf("line %d: no variable name before =; write KEY=VALUE", r.line)
	}
	r.rest = strings.TrimLeft(r.rest[len(key)+1:], " \t")
	value, err := r.value(name)
	if err != nil {
		return err
	}
	r.vars[name] = value
	return nil
}

// value reads what follows KEY= up to the end of its line.
func (r *dotenvReader) value(name string) (string, error) {
	if r.rest == "" || (r.rest[0] != '\'' && r.rest[0] != '"') {
		line, _, _ := strings.Cut(r.rest, "\n")
		r.skip(line)
		if i := commentStart(line); i >= 0 {
			line = line[:i]
		}
		return r.expand(strings.TrimSpace(line)), nil
	}
	quote := r.rest[0]
	end := closingQuote(r.rest)
	if end < 0 {
		return "", fmt.Errorf("line %d: the quote that opens %s is never closed", r.line, name)
	}
	quoted := r.rest[1:end]
	after, _, _ := strings.Cut(r.rest[end+1:], "\n")
	if tail := strings.TrimSpace(after); tail != "" && tail[0] != '#' {
		return "", fmt.Errorf("line %d: %s goes on behind its closing quote", r.line+strings.Count(quoted, "\n"), name)
	}
	r.skip(r.rest[:end+1+len(after)])
	if quote == '\'' {
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(quoted), nil
	}
	return r.expand(unescape(quoted)), nil
}

// skip leaves read, and the end of line behind it, behind.
func (r *dotenvReader) skip(read string) {
	r.rest = strings.TrimPrefix(r.rest[len(read):], "\n")
	r.line += strings.Count(read, "\n") + 1
}

// expand replaces ${NAME} and ${NAME:-default}, once: what it puts in is not
// looked at again.
func (r *dotenvReader) expand(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		reference, rest, closed := strings.Cut(after, "}")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if !closed {
			b.WriteString("${" + after)
			return b.String()
		}
		name, fallback, _ := strings.Cut(reference, ":-")
		v, ok := r.vars[name]
		if !ok {
			v, ok = r.env(name)
		}
		if !ok || v == "" {
			v = fallback
		}
		b.WriteString(v)
		text = rest
	}
}

// closingQuote is the index of the quote that closes the one at index 0, or -1.
func closingQuote(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i
		}
	}
	return -1
}

// commentStart is the index of a # that starts a comment, or -1: one at the
// start of the value or behind a blank.
func commentStart(line string) int {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// unescape resolves the escapes of double quotes; an unknown one stays.
func unescape(text string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\'`, `'`, `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(text)
}

// isVariableName tells whether an operating system takes name.
func isVariableName(name string) bool {
	return name != "" && !strings.ContainsAny(name, " \t\x00'\"#")
}
