package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"
)

// Tool is one MCP tool (MCP specification, Server Features, Tools). Schemas
// and the like are the server's own bytes; nil when absent.
type Tool struct {
	Name, Title, Description                            string
	InputSchema, OutputSchema, Annotations, Icons, Meta json.RawMessage
	input, output                                       *node
}

// ParseTool reads one element of tools/list. Member names are compared
// exactly.
func ParseTool(raw json.RawMessage) (Tool, error) {
	n, err := parseNode(readable(raw))
	if err != nil {
		return Tool{}, fmt.Errorf("reading a tool: %w", err)
	}
	if !n.get("name").is('"') {
		return Tool{}, fmt.Errorf("reading a tool: it has no name")
	}
	bytesOf := func(name string) json.RawMessage {
		if v := n.get(name); v != nil && !v.is('n') {
			return v.append(nil)
		}
		return nil
	}
	return Tool{
		Name: n.get("name").str(), Title: n.get("title").str(), Description: n.get("description").str(),
		InputSchema: bytesOf("inputSchema"), OutputSchema: bytesOf("outputSchema"), Annotations: bytesOf("annotations"),
		Icons: bytesOf("icons"), Meta: bytesOf("_meta"), input: n.get("inputSchema"), output: n.get("outputSchema"),
	}, nil
}

// Info is the part of a document that is not about tools.
type Info struct {
	Title, Description, Version string
	// ServerURL is the path of the server as seen from outside; "" leaves
	// servers out.
	ServerURL string
	// Secured says that calls need the key.
	Secured bool
	// Login, unless nil, is shown as the first operation.
	Login *Login
}

// Document is an OpenAPI 3.1.0 document with what is needed to serve it and
// the calls to its operations. It never changes.
type Document struct {
	JSON, Gzip []byte
	// ETag is a strong entity tag with its quotes (RFC 9110 §8.8.3).
	ETag string
	// Operations are by the name of their tool.
	Operations map[string]*Operation
	// Warnings name what could not be shown as its author wrote it.
	Warnings []string
}

// Build makes the document of a server's tools. It never fails: a tool that
// cannot be expressed is served as a free object, with a warning. Of two tools
// with one name the first counts.
func Build(info Info, tools []Tool) *Document {
	d := &Document{Operations: make(map[string]*Operation, len(tools))}
	paths := objectNode()
	if info.Login != nil {
		paths.set("/"+loginSegment, objectNode(member{"get", info.Login.operation(info.Secured)}))
	}
	shown := make([]Tool, 0, len(tools))
	for _, t := range tools {
		if d.Operations[t.Name] != nil {
			d.warn(t.Name, []string{"a second tool of this name is left out"})
			continue
		}
		d.Operations[t.Name] = &Operation{schema: t.InputSchema}
		shown = append(shown, t)
	}
	for i, made := range posts(shown, info.Secured) {
		t, post := shown[i], member{"post", made.node}
		d.warn(t.Name, made.warnings)
		if info.Login != nil && t.Name == loginSegment {
			login := paths.get("/" + loginSegment)
			login.set(post.name, post.value)
			continue
		}
		paths.members = append(paths.members, member{"/" + segment(t.Name), objectNode(post)})
	}
	about := objectNode(member{"title", textNode(info.Title)}, member{"description", textNode(info.Description)}, member{"version", textNode(info.Version)})
	doc := objectNode(member{"openapi", textNode("3.1.0")}, member{"info", about})
	if info.ServerURL != "" {
		doc.set("servers", arrayNode(objectNode(member{"url", textNode(info.ServerURL)})))
	}
	doc.set("paths", paths)
	if info.Secured {
		doc.set("components", fixed(`{"securitySchemes":{"HTTPBearer":{"type":"http","scheme":"bearer"}}}`))
	}
	d.seal(doc, roomFor(tools))
	return d
}

// roomFor guesses the size of the document of tools.
func roomFor(tools []Tool) int {
	room := 1 << 10
	for _, t := range tools {
		room += 1<<10 + len(t.Description) + 5*(len(t.InputSchema)+len(t.OutputSchema))/4
	}
	return room
}

// seal writes the bytes that are served, which have about the size of room.
func (d *Document) seal(doc *node, room int) {
	d.JSON = doc.append(make([]byte, 0, room))
	hash := sha256.Sum256(d.JSON)
	d.ETag = `"` + hex.EncodeToString(hash[:16]) + `"`
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return // the level is a constant that gzip knows
	}
	_, writeErr := z.Write(d.JSON)
	if err := z.Close(); err == nil && writeErr == nil {
		d.Gzip = b.Bytes()
	}
}

func (d *Document) warn(tool string, texts []string) {
	for _, text := range texts {
		d.Warnings = append(d.Warnings, fmt.Sprintf("tool %q: %s", tool, text))
	}
}

// post is a tool's POST operation, and what could not be shown of it.
type post struct {
	node     *node
	warnings []string
}

// posts makes those of all tools, side by side: schemas may be large.
func posts(tools []Tool, secured bool) []post {
	ids, made := operationIDs(tools), make([]post, len(tools))
	var making errgroup.Group
	making.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range tools {
		making.Go(func() error {
			made[i] = postOf(t, ids[t.Name], secured)
			return nil
		})
	}
	_ = making.Wait() // making one does not fail
	return made
}

// fixed is JSON of ours as a node.
func fixed(text string) *node { return &node{kind: '0', raw: []byte(text)} }

func postOf(t Tool, id string, secured bool) post {
	summary := t.Title
	if summary == "" {
		summary = titleCase(t.Name)
	}
	op := objectNode(member{"summary", textNode(summary)})
	if t.Description != "" {
		op.set("description", textNode(t.Description))
	}
	op.set("operationId", textNode(id))
	input, warnings := schema(t.input, convertInput)
	body := objectNode(member{"content", content(input)})
	if len(input.get("required").list()) > 0 {
		body.set("required", boolNode(true))
	}
	op.set("requestBody", body)
	ok := objectNode(member{"description", textNode("Successful Response")})
	answer := objectNode()
	if t.output != nil {
		var inOutput []string
		answer, inOutput = schema(t.output, convertOutput)
		for _, w := range inOutput {
			warnings = append(warnings, "in the output: "+w)
		}
	}
	ok.set("content", content(answer))
	op.set("responses", objectNode(member{"200", ok}, member{"422", fixed(validationResponse)}))
	if secured {
		op.set("security", fixed(securedByKey))
	}
	op.extend("x-mcp-annotations", t.Annotations)
	op.extend("x-mcp-icons", t.Icons)
	op.extend("x-mcp-meta", t.Meta)
	return post{op, warnings}
}

// extend adds an extension, unless there is nothing to say.
func (n *node) extend(name string, raw json.RawMessage) {
	if raw != nil {
		n.set(name, fixed(string(raw)))
	}
}

// schema converts a tool's schema; without one a free object is shown.
func schema(s *node, convert func(*node) (*node, []string)) (*node, []string) {
	if s.is('{') {
		return convert(s)
	}
	n, _ := convert(objectNode())
	if s == nil || s.is('n') {
		return n, nil
	}
	return n, []string{"its schema is no object; it is shown as a free one"}
}

func content(schema *node) *node {
	return objectNode(member{"application/json", objectNode(member{"schema", schema})})
}

func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

func (n *node) fields() []member {
	if n == nil {
		return nil
	}
	return n.members
}

// securedByKey says of an operation that it needs the key.
const securedByKey = `[{"HTTPBearer":[]}]`

// validationResponse describes the body of a 422.
const validationResponse = `{"description":"Validation Error","content":{"application/json":{"schema":{"type":"object","properties":{"detail":` +
	`{"type":"array","items":{"type":"object","properties":{"loc":{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"integer"}]}},` +
	`"msg":{"type":"string"},"type":{"type":"string"}},"required":["loc","msg","type"]}}}}}}}`

// segment is a tool's name as one segment of a path (RFC 3986 §3.3).
func segment(name string) string {
	switch name {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	// Braces would make a template of the path (OpenAPI 3.1 §4.8.8).
	return strings.NewReplacer("{", "%7B", "}", "%7D").Replace(url.PathEscape(name))
}

// titleCase is a summary for a name: words begin with a capital letter, as
// mcpo always wrote it.
func titleCase(name string) string {
	inWord := false
	return strings.Map(func(c rune) rune {
		if c == '_' {
			c = ' '
		}
		letter := unicode.IsLetter(c)
		switch {
		case letter && !inWord:
			c = unicode.ToTitle(c)
		case letter:
			c = unicode.ToLower(c)
		}
		inWord = letter
		return c
	}, name)
}

// maxID is the longest name of a function that models' providers take.
const maxID = 64

// toolPrefix begins the ids of all tools.
const toolPrefix = "tool_"

// operationIDs gives each tool the id tool_NAME_post with every other
// character than [A-Za-z0-9_] as an underscore. Where that is too long, or
// two tools would share it, a hash of the name ends it; so an id depends on
// nothing but the names that clash.
func operationIDs(tools []Tool) map[string]string {
	plain := make(map[string]string, len(tools))
	count := make(map[string]int, len(tools))
	for _, t := range tools {
		if _, twice := plain[t.Name]; twice {
			continue
		}
		id := strings.Map(func(c rune) rune {
			if idLetter(c) {
				return c
			}
			return '_'
		}, toolPrefix+t.Name+"_post")
		plain[t.Name] = id
		count[id]++
	}
	for name, id := range plain {
		if len(id) > maxID || count[id] > 1 {
			plain[name] = endWithHash(id, name)
		}
	}
	return plain
}
