package openapi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// text passes over a string (RFC 8259 §7).
func (p *parser) text() error {
	for p.at++; ; {
		p.at += plain(p.data[p.at:])
		if p.at >= len(p.data) {
			return p.fail("Unterminated string")
		}
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return nil
		case c == '\\':
			if !p.escape() {
				return p.fail("Invalid \\escape")
			}
			p.at++
		case c < ' ':
			return p.fail("Invalid control character")
		default:
			_, size := utf8.DecodeRune(p.data[p.at:])
			if size == 1 {
				return p.fail("Invalid UTF-8")
			}
			p.at += size
		}
	}
}

// plain counts the bytes at the beginning that are ASCII and stand for
// themselves in a string, eight at a time: texts are long.
func plain(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; n+8 <= len(b); n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quotes, slashes := x^(ones*'"'), x^(ones*'\\')
		odd := x | (x-ones*' ')&^x | (quotes-ones)&^quotes | (slashes-ones)&^slashes
		if odd&tops != 0 {
			break
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] < utf8.RuneSelf && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

func (p *parser) escape() bool {
	p.at++
	switch p.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			p.at++
			if c := p.peek(); !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
		return true
	}
	return false
}

// unquote decodes a JSON string that was found valid.
func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	return string(appendUnquoted(make([]byte, 0, len(inner)), raw))
}

// appendUnquoted decodes a JSON string that was found valid. Surrogates that
// have no partner become U+FFFD.
func appendUnquoted(b, raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(b, inner...)
		}
		b = append(b, inner[:i]...)
		c := inner[i+1]
		if c == 'u' {
			r, size := escaped(inner[i:])
			b, inner = utf8.AppendRune(b, r), inner[i+size:]
			continue
		}
		if at := bytes.IndexByte([]byte("bfnrt"), c); at >= 0 {
			c = "\b\f\n\r\t"[at]
		}
		b, inner = append(b, c), inner[i+2:]
	}
}

// escaped reads the \u escape, or the pair of them, that s begins with.
func escaped(s []byte) (r rune, size int) {
	r = unit(s)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if r = utf16.DecodeRune(r, unit(s[6:])); r != utf8.RuneError {
		return r, 12
	}
	return utf8.RuneError, 6
}

// unit is the UTF-16 unit of the \u escape that s begins with, or 0.
func unit(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0
	}
	v, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(v)
}

// readable replaces with U+FFFD what valid JSON may hold and other readers
// fail on: bytes that are not UTF-8, and escapes of surrogates without a
// partner, which have no encoding (RFC 8259 §8.2).
func readable(data []byte) []byte {
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	if !bytes.Contains(data, []byte(`\ud`)) && !bytes.Contains(data, []byte(`\uD`)) {
		return data
	}
	out := make([]byte, 0, len(data))
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 || i+1 >= len(data) {
			return append(out, data...)
		}
		out, data = append(out, data[:i]...), data[i:]
		size := 2
		if data[1] == 'u' && len(data) >= 6 {
			var r rune
			if r, size = escaped(data); r == utf8.RuneError && utf16.IsSurrogate(unit(data)) {
				out, data = append(out, "\uFFFD"...), data[size:]
				continue
			}
		}
		out, data = append(out, data[:size]...), data[size:]
	}
}

// quote encodes a JSON string without HTML escapes.
func quote(s string) []byte { return appendQuoted(make([]byte, 0, len(s)+2), s) }

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, "\uFFFD"...)
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
