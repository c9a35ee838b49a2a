package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Login describes the operation GET /login, with which a model finds out
// whether its user is connected to the server, and which link to show if not.
type Login struct {
	// OperationID is made to fit where models' providers would refuse it, and
	// differs from the ids of all tools.
	OperationID          string
	Summary, Description string
}

// loginSegment is the path of the operation, which a tool may have as well: the
// tool's method is another.
const loginSegment = "login"

// operation is the GET operation. It has no body, and an answer for each of the
// two states.
func (l *Login) operation(secured bool) *node {
	op := objectNode(member{"summary", textNode(l.Summary)})
	if l.Description != "" {
		op.set("description", textNode(l.Description))
	}
	op.set("operationId", textNode(loginID(l.OperationID)))
	op.set("responses", fixed(loginResponses))
	if secured {
		op.set("security", fixed(securedByKey))
	}
	return op
}

// loginResponses describe the answers: connected, and the body of a 401.
const loginResponses = `{"200":{"description":"Successful Response","content":{"application/json":{"schema":{"type":"object","properties":` +
	`{"status":{"type":"string","enum":["connected"]}},"required":["status"]}}}},` +
	`"401":{"description":"Login Required","content":{"application/json":{"schema":{"type":"object","properties":{"detail":` +
	`{"type":"object","properties":{"error":{"type":"string"},"message":{"type":"string"},"authorization_url":{"type":"string","format":"uri"},` +
	`"server":{"type":"string"}},"required":["message"]}},"required":["detail"]}}}}}`

// loginID makes an id that models' providers take, the wanted one if it is such.
// The ids of tools begin with toolPrefix, and this one never does, so that it
// depends on no tool.
func loginID(wanted string) string {
	id := strings.Map(func(c rune) rune {
		if c == '-' || idLetter(c) {
			return c
		}
		return '_'
	}, wanted)
	if id == "" || strings.HasPrefix(id, toolPrefix) {
		id = "login_" + id
	}
	if strings.HasSuffix(id, wanted) && len(id) <= maxID {
		return id
	}
	return endWithHash(id, wanted)
}

// endWithHash ends an id with a hash of what it stands for, within the longest length.
func endWithHash(id, of string) string {
	hash := sha256.Sum256([]byte(of))
	return id[:min(len(id), maxID-9)] + "_" + hex.EncodeToString(hash[:4])
}

// idLetter reports whether a character may be in every kind of id.
func idLetter(c rune) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
