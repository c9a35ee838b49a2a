package openapi

import (
	"bytes"
	"strings"
)

// ToolError is a result with isError: the tool ran and failed.
type ToolError struct {
	// Message holds all text items of the result, a line each.
	Message string
}

// Error implements error.
func (e *ToolError) Error() string { return e.Message }

// ResultBody makes a response's body of a CallToolResult (MCP specification,
// Server Features, Tools, "Tool Result"): one content item is its value,
// several are an array, none is [] or, if there is one, structuredContent.
// Text that is JSON stands for itself, with its own bytes. The error is a
// *[ToolError] for a result with isError. A result that is none is passed on.
// The body may share the result's bytes.
func ResultBody(result []byte) ([]byte, error) {
	result = readable(result)
	n, err := parseNode(result)
	if err != nil {
		return quote(string(result)), nil // no server that is sane gets here
	}
	if n.get("isError").is('t') {
		return nil, &ToolError{errorText(n)}
	}
	content := n.get("content")
	if !content.is('[') {
		if s := n.get("structuredContent"); s != nil {
			return s.append(nil), nil
		}
		return bytes.TrimSpace(result), nil
	}
	switch len(content.items) {
	case 0:
		if s := n.get("structuredContent"); s != nil {
			return s.append(nil), nil
		}
		return []byte("[]"), nil
	case 1:
		return appendValue(nil, content.items[0]), nil
	}
	body := []byte{'['}
	for i, item := range content.items {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendValue(body, item)
	}
	return append(body, ']'), nil
}

// errorText is all that a failed result says.
func errorText(result *node) string {
	var lines []string
	for _, item := range result.get("content").list() {
		for _, text := range []*node{item.get("text"), item.get("resource").get("text")} {
			if text := text.str(); text != "" {
				lines = append(lines, text)
			}
		}
	}
	if s := result.get("structuredContent"); lines == nil && s.is('{') {
		return string(s.append(nil))
	}
	if lines == nil {
		return "The tool reported an error without a message."
	}
	return strings.Join(lines, "\n")
}

// appendValue writes the value of one content item. Kinds that are not known
// are passed on as they are.
func appendValue(b []byte, item *node) []byte {
	switch item.get("type").str() {
	case "text":
		if text := item.get("text"); text.is('"') {
			return appendText(b, text)
		}
	case "image", "audio":
		if data := item.get("data"); data.is('"') {
			return appendDataURI(b, item.get("mimeType").str(), data)
		}
	case "resource":
		resource := item.get("resource")
		if text := resource.get("text"); text.is('"') {
			return appendText(b, text)
		}
		if blob := resource.get("blob"); blob.is('"') {
			return appendDataURI(b, resource.get("mimeType").str(), blob)
		}
	}
	return item.append(b)
}

// join appends, or spares the copy when there is nothing to append to.
func join(b, more []byte) []byte {
	if b == nil {
		return more[:len(more):len(more)]
	}
	return append(b, more...)
}

// appendText writes a text: as the JSON that it holds, or else as the JSON
// string that it is, in both cases without changing a byte.
func appendText(b []byte, text *node) []byte {
	inner := bytes.TrimLeft(text.raw[1:len(text.raw)-1], " ")
	if len(inner) == 0 || !strings.ContainsRune("{[-0123456789tfn\\", rune(inner[0])) {
		return join(b, text.raw)
	}
	held := bytes.Trim(appendUnquoted(make([]byte, 0, len(text.raw)), text.raw), " \t\r\n")
	p := parser{data: held, check: true, twice: -1, long: -1}
	if _, err := p.document(); err != nil {
		return join(b, text.raw)
	}
	return append(b, readable(held)...)
}

// appendDataURI writes a data URI (RFC 2397). Base64 needs no decoding for it.
func appendDataURI(b []byte, mimeType string, data *node) []byte {
	if mimeType == "" {
		mimeType = "application/octet-stream"
	}
	start := quote("data:" + mimeType + ";base64,")
	b = append(b, start[:len(start)-1]...)
	return append(b, data.raw[1:]...)
}
