package wire

import (
	"encoding/json"
	"strconv"
)

// appendRequest appends a JSON-RPC request. The parameters go in as they are.
func appendRequest(b []byte, id int64, method string, params json.RawMessage) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, id, 10)
	return appendMethod(append(b, ','), method, params)
}

// appendNotification appends a JSON-RPC notification.
func appendNotification(b []byte, method string, params json.RawMessage) []byte {
	return appendMethod(append(b, `{"jsonrpc":"2.0",`...), method, params)
}

func appendMethod(b []byte, method string, params json.RawMessage) []byte {
	b = append(b, `"method":"`...)
	b = append(b, method...) // methods are our own constants and need no escaping
	b = append(b, '"')
	if len(params) > 0 {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return append(b, '}')
}

// maxForeignID bounds the ids of servers' requests that are answered, so that
// answers which a server does not read cannot fill the memory.
const maxForeignID = 256

// asks reports whether a message is a request that mcpo answers.
func asks(m message) bool { return m.id != nil && len(m.id) <= maxForeignID }

// appendAnswer appends the answer to a request of the server's. mcpo offers no
// client capability, so everything but ping is refused (JSON-RPC -32601).
func appendAnswer(b []byte, request message) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, request.id...)
	if string(request.method) == `"ping"` {
		return append(b, `,"result":{}}`...)
	}
	return append(b, `,"error":{"code":-32601,"message":"Method not found: mcpo offers no client capabilities"}}`...)
}

// cancelParams are the parameters of notifications/cancelled.
func cancelParams(id int64) json.RawMessage {
	b := append([]byte(nil), `{"requestId":`...)
	b = strconv.AppendInt(b, id, 10)
	return append(b, `,"reason":"the caller went away or its time was over"}`...)
}

// oneLine makes JSON fit a line: outside of strings a line break is plain
// white space, and inside of them JSON does not allow it.
func oneLine(b []byte) {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
}
