package wire

import (
	"encoding/json"
	"net/http"
)

// Tool is one element of a server's tools/list.
type Tool struct {
	Name string
	// Raw is the whole element with the server's own bytes.
	Raw json.RawMessage

	quoted  json.RawMessage // the name as a JSON string
	headers []paramHeader
}

// paramHeader is a property of a tool's input that travels as a header too
// (2026-07-28, x-mcp-header).
type paramHeader struct {
	path []string // property names from the root of the arguments
	name string   // the header's name without the Mcp-Param- prefix
}

// ParseTools reads elements of tools/list as they were kept somewhere. What is
// no tool is left out.
func ParseTools(raw []json.RawMessage) []Tool {
	tools := make([]Tool, 0, len(raw))
	for _, r := range raw {
		if t, ok := parseTool(r); ok {
			tools = append(tools, t)
		}
	}
	return tools
}

// parseTool reads the little that the wire needs of a tool. Member names are
// compared exactly, as encoding/json does for maps but not for structs.
func parseTool(raw json.RawMessage) (Tool, bool) {
	var m map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &m) != nil || m["name"] == nil || json.Unmarshal(m["name"], &name) != nil {
		return Tool{}, false
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return Tool{}, false
	}
	return Tool{Name: name, Raw: raw, quoted: quoted, headers: paramHeadersOf(m["inputSchema"], nil, 0)}, true
}

// paramHeadersOf finds the x-mcp-header annotations of primitive properties,
// at any depth that is still sane. What is not a header name is left out.
func paramHeadersOf(schema json.RawMessage, path []string, depth int) []paramHeader {
	var m, properties map[string]json.RawMessage
	if depth > 8 || json.Unmarshal(schema, &m) != nil || json.Unmarshal(m["properties"], &properties) != nil {
		return nil
	}
	var found []paramHeader
	for name, raw := range properties {
		here := append(append([]string(nil), path...), name)
		var p map[string]json.RawMessage
		if json.Unmarshal(raw, &p) != nil {
			continue
		}
		switch header := text(p["x-mcp-header"]); text(p["type"]) {
		case "string", "integer", "boolean":
			if isToken(header) {
				found = append(found, paramHeader{here, header})
			}
		}
		found = append(found, paramHeadersOf(raw, here, depth+1)...)
	}
	return found
}

// paramHeaders makes the Mcp-Param-* headers for a call's arguments.
func (t Tool) paramHeaders(args json.RawMessage) http.Header {
	if len(t.headers) == 0 {
		return nil
	}
	h := make(http.Header, len(t.headers))
	for _, p := range t.headers {
		if value, ok := headerText(argument(args, p.path)); ok {
			h.Set("Mcp-Param-"+p.name, encodeHeaderValue(value))
		}
	}
	return h
}

// argument follows a path of property names; nil when it leads nowhere.
func argument(args json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		var m map[string]json.RawMessage
		if json.Unmarshal(args, &m) != nil {
			return nil
		}
		args = m[name]
	}
	return args
}

// headerText is a primitive argument as text; null and everything else make no
// header.
func headerText(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		var s string
		return s, json.Unmarshal(raw, &s) == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

// isToken reports whether s is an HTTP field name (RFC 9110 §5.6.2 token).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && !isTokenMark(c) {
			return false
		}
	}
	return s != ""
}

func isTokenMark(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
