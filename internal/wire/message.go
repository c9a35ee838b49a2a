package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// message is one JSON-RPC message cut into its members. The members are
// slices of the message's own bytes; a member that is absent is nil, one that
// is null holds null.
type message struct {
	id, method, params, result, err json.RawMessage
}

// maxDepth bounds how deep a message may nest, so that a hostile one cannot
// exhaust the stack.
const maxDepth = 1000

// splitMessage cuts one JSON-RPC message into its members and checks in the
// same pass that all of it is valid JSON. Member names are matched exactly,
// case included, because encoding/json would take "Result" for "result" too.
// Of members that appear twice the last one counts.
func splitMessage(raw []byte) (message, error) {
	s := scanner{data: raw}
	s.space()
	if s.peek() != '{' {
		return message{}, errors.New("reading a JSON-RPC message: it is no JSON object")
	}
	var m message
	ok := s.object(1, m.set)
	if s.space(); !ok || s.at != len(raw) {
		return message{}, fmt.Errorf("reading a JSON-RPC message: invalid JSON at byte %d", s.at)
	}
	return m, nil
}

// maxBatch bounds the messages of a batch, as a split one takes many times the
// memory of its bytes.
const maxBatch = 1000

// splitMessages cuts raw, which is one message or an array of them (a batch,
// protocol version 2025-03-26).
func splitMessages(raw []byte) ([]message, error) {
	s := scanner{data: raw}
	if s.space(); s.peek() != '[' {
		m, err := splitMessage(raw)
		if err != nil {
			return nil, err
		}
		return []message{m}, nil
	}
	var elements [][]byte
	ok := s.array(1, func(value []byte) {
		if len(elements) <= maxBatch {
			elements = append(elements, value)
		}
	})
	if s.space(); !ok || s.at != len(raw) {
		return nil, fmt.Errorf("reading a JSON-RPC batch: invalid JSON at byte %d", s.at)
	}
	if len(elements) > maxBatch {
		return nil, fmt.Errorf("reading a JSON-RPC batch: more than %d messages", maxBatch)
	}
	messages := make([]message, len(elements))
	for i, element := range elements {
		m, err := splitMessage(element)
		if err != nil {
			return nil, err
		}
		messages[i] = m
	}
	return messages, nil
}

// methodName is the message's method, or "" where that is no string.
func (m message) methodName() string {
	name, _ := unquote(m.method)
	return name
}

// reply is the answer that a response carries. An error member that is null
// beside a result is taken as absent, as some servers write it. A response
// that breaks the specification reads as an error of the server's.
func (m message) reply() Reply {
	switch {
	case m.result != nil && (m.err == nil || string(m.err) == "null"):
		return Reply{Result: m.result}
	case m.err != nil:
		return Reply{Error: splitError(m.err)}
	}
	return Reply{Error: &RPCError{Code: codeInternal, Message: "the server's response has neither result nor error"}}
}

// codeInternal is JSON-RPC's "Internal error" (JSON-RPC 2.0 §5.1).
const codeInternal = -32603

// splitError reads a JSON-RPC error object that was found valid JSON before.
// What is no such object reads as an internal error that quotes it.
func splitError(raw []byte) *RPCError {
	s := scanner{data: raw}
	if s.peek() != '{' {
		return &RPCError{Code: codeInternal, Message: string(raw[:min(len(raw), 1<<10)])}
	}
	rpc := RPCError{Code: codeInternal}
	s.object(1, func(key, value []byte) {
		switch {
		case keyIs(key, "code"):
			if code, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				rpc.Code = code
			}
		case keyIs(key, "message"):
			rpc.Message, _ = unquote(value)
		case keyIs(key, "data"):
			rpc.Data = value
		}
	})
	return &rpc
}

// set stores one member of the message.
func (m *message) set(key, value []byte) {
	switch {
	case keyIs(key, "id"):
		m.id = value
	case keyIs(key, "method"):
		m.method = value
	case keyIs(key, "params"):
		m.params = value
	case keyIs(key, "result"):
		m.result = value
	case keyIs(key, "error"):
		m.err = value
	}
}

// keyIs reports whether key, a JSON string with its quotes, spells name.
func keyIs(key []byte, name string) bool {
	if string(key[1:len(key)-1]) == name {
		return true
	}
	// The longest spelling writes each letter as \uXXXX.
	if len(key) > 2+6*len(name) {
		return false
	}
	for _, c := range key {
		if c == '\\' {
			text, ok := unquote(key)
			return ok && text == name
		}
	}
	return false
}

// unquote decodes a JSON string; ok is false where raw is something else.
func unquote(raw []byte) (text string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

// scanner walks over JSON text (RFC 8259) without building values. Its methods
// begin at data[at], move at behind what they read, and return false, with at
// near the mistake, where the text is not valid.
type scanner struct {
	data []byte
	at   int
}

// peek is the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

// next skips c if that is what comes next.
func (s *scanner) next(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// value skips one value of any kind.
func (s *scanner) value(depth int) bool {
	switch s.peek() {
	case '"':
		return s.text()
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth+1, nil)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.numeral()
}

// object skips an object and shows each member, the key with its quotes, to
// visit, which may be nil.
func (s *scanner) object(depth int, visit func(key, value []byte)) bool {
	if depth > maxDepth || !s.next('{') {
		return false
	}
	if s.space(); s.next('}') {
		return true
	}
	for {
		s.space()
		key := s.at
		if !s.text() {
			return false
		}
		keyEnd := s.at
		if s.space(); !s.next(':') {
			return false
		}
		s.space()
		start := s.at
		if !s.value(depth) {
			return false
		}
		if visit != nil {
			visit(s.data[key:keyEnd:keyEnd], s.data[start:s.at:s.at])
		}
		if s.space(); s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// array skips an array and shows each element to visit, which may be nil.
func (s *scanner) array(depth int, visit func(value []byte)) bool {
	if depth > maxDepth || !s.next('[') {
		return false
	}
	if s.space(); s.next(']') {
		return true
	}
	for {
		s.space()
		start := s.at
		if !s.value(depth) {
			return false
		}
		if visit != nil {
			visit(s.data[start:s.at:s.at])
		}
		if s.space(); s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// text skips a string.
func (s *scanner) text() bool {
	if !s.next('"') {
		return false
	}
	for {
		s.plain()
		switch c := s.peek(); {
		case c == '"':
			s.at++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < 0x20: // a control character, or the end of the text
			return false
		default:
			s.at++
		}
	}
}

// plain skips characters that mean themselves, eight at a time: most of a
// large result is the inside of one string.
func (s *scanner) plain() {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for s.at+8 <= len(s.data) {
		w := binary.LittleEndian.Uint64(s.data[s.at:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The high bit of the lowest byte that stops is exact; those above it
		// may be wrong, and do not matter.
		stop := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs
		if stop != 0 {
			s.at += bits.TrailingZeros64(stop) / 8
			return
		}
		s.at += 8
	}
}

// escape skips a backslash and what belongs to it.
func (s *scanner) escape() bool {
	if s.at+1 >= len(s.data) {
		return false
	}
	c := s.data[s.at+1]
	s.at += 2
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			switch c := s.peek(); {
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
				s.at++
			default:
				return false
			}
		}
		return true
	}
	return false
}

func (s *scanner) literal(word string) bool {
	if len(s.data)-s.at < len(word) || string(s.data[s.at:s.at+len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

// numeral skips a number.
func (s *scanner) numeral() bool {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

// digits skips one digit or more.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}
