package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// random is 256 random bits in 43 characters that need no escaping.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newVerifier makes a code verifier (RFC 7636 §4.1).
func newVerifier() string { return random() }

// challengeOf is a verifier's code challenge by the method S256 (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// hashed names a secret without telling it.
func hashed(secret string) string { return challengeOf(secret) }
