package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// maxFile bounds a configuration file, and a file that ${file:…} names.
const maxFile = 8 << 20

// Load reads and checks a configuration file. env looks up the variables of
// ${VAR}. The error is of type Problems and holds everything that is wrong.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	data, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Problems{{File: path, Message: "the file does not exist", Hint: "--config takes the path of a JSON file with mcpServers"}}
	case err != nil:
		return nil, Problems{{File: path, Message: "the file cannot be read: " + err.Error()}}
	}
	return parse(path, data, env, readFile)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return data, err
}

// parse does all of Load but the reading of files.
func parse(path string, data []byte, env func(string) (string, bool), read func(string) ([]byte, error)) (*Config, error) {
	r := &reader{file: path, data: bytes.TrimPrefix(data, []byte("\uFEFF")), env: env, read: read}
	root, ok := r.tree()
	cfg := &Config{}
	if ok {
		r.root(root, cfg)
	}
	if len(r.problems) > 0 {
		// An unknown key is often what a missing one was meant to be.
		all := append(r.problems, r.warnings...)
		slices.SortStableFunc(all, func(a, b Problem) int { return a.Line - b.Line })
		return nil, all
	}
	cfg.Warnings = r.warnings
	return cfg, nil
}

// reader collects what is wrong while it reads.
type reader struct {
	file     string
	data     []byte
	env      func(string) (string, bool)
	read     func(string) ([]byte, error)
	problems Problems
	warnings []Problem

	// What the file says for all servers.
	allLimits  Limits
	allBreaker CircuitBreaker
}

// tree parses the bytes.
func (r *reader) tree() (hujson.Value, bool) {
	if len(bytes.TrimSpace(r.data)) == 0 {
		r.problems = append(r.problems, Problem{File: r.file, Message: "the file is empty", Hint: example})
		return hujson.Value{}, false
	}
	if depth(r.data) > 200 {
		r.problems = append(r.problems, Problem{File: r.file, Message: "the file nests too deeply"})
		return hujson.Value{}, false
	}
	v, err := hujson.Parse(bytes.Clone(r.data))
	if err != nil {
		r.problems = append(r.problems, Problem{File: r.file, Line: lineOfSyntaxError(err), Message: "this is no valid JSON: " + syntax(err),
			Hint: "comments and trailing commas are fine; look for a missing comma, quote or brace at or above this line"})
		return hujson.Value{}, false
	}
	return v, true
}

const example = `write at least {"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}`

// depth is how deep the brackets nest, to bound the recursion of a parser.
func depth(data []byte) int {
	deep, most := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			deep++
			most = max(most, deep)
		case '}', ']':
			deep--
		case '"', '/':
			i += textLength(data[i:]) - 1
		}
	}
	return most
}

// textLength is the length of the string or comment at the start of data, in which
// brackets do not nest: all of data when it has no end, 1 when there is neither.
func textLength(data []byte) int {
	if data[0] == '"' {
		for i := 1; i < len(data); i++ {
			switch data[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(data)
	}
	end := ""
	switch {
	case bytes.HasPrefix(data, []byte("//")):
		end = "\n"
	case bytes.HasPrefix(data, []byte("/*")):
		end = "*/"
	default:
		return 1
	}
	if i := bytes.Index(data[2:], []byte(end)); i >= 0 {
		return 2 + i + len(end)
	}
	return len(data)
}

// lineOfSyntaxError finds the line in hujson's message, its only place.
func lineOfSyntaxError(err error) int {
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
		return 0
	}
	return line
}

// syntax is what hujson says, without the place. It quotes a literal that it
// cannot read in whole, which may be a password.
func syntax(err error) string {
	text := strings.TrimPrefix(err.Error(), "hujson: ")
	if _, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "line ") {
		text = rest
	}
	switch what, literal, ok := strings.Cut(text, ": "); {
	case !ok || what != "invalid literal":
		return text
	case strings.HasPrefix(literal, `"`):
		return "a string with a line break, a control character or an unknown escape in it"
	}
	return "a value that is no string, number, true, false or null"
}

// line is the line of a value.
func (r *reader) line(v hujson.Value) int {
	return 1 + bytes.Count(r.data[:min(v.StartOffset, len(r.data))], []byte("\n"))
}

func (r *reader) problem(at hujson.Value, path, hint, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, r.line(at), path, fmt.Sprintf(format, args...), hint})
}

func (r *reader) warn(at hujson.Value, path, hint, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{r.file, r.line(at), path, fmt.Sprintf(format, args...), hint})
}
