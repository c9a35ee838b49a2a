package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"mcpo/internal/caller"
)

const (
	version      = 1  // of the envelope
	minSecretLen = 16 // bytes
)

// envelope is a record as it lies in a file. All but the value can be read
// without a key, and nothing of it can be changed without one.
type envelope struct {
	Version int       `json:"version"`
	SealKey string    `json:"key"` // id of the key that it is sealed with
	Kind    Kind      `json:"kind"`
	Server  string    `json:"server,omitempty"`
	Caller  string    `json:"caller,omitempty"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Sealed  []byte    `json:"sealed"` // nonce, ciphertext, tag
}

// bound is what the seal covers beside the value: sealed bytes that are moved
// to another envelope, or whose envelope is edited, do not open.
func (e envelope) bound() []byte {
	expires := ""
	if !e.Expires.IsZero() {
		expires = e.Expires.UTC().Format(time.RFC3339Nano)
	}
	return prefixed("mcpo record 1", e.SealKey, string(e.Kind), e.Server, e.Caller, e.Name, expires)
}

// sealKey is one encryption key, derived from a secret.
type sealKey struct {
	id   string // tells keys apart and says nothing of the secret
	aead cipher.AEAD
}

// newSealKey derives a key: AES-256-GCM with random nonces, by HKDF-SHA256
// (RFC 5869).
func newSealKey(secret string) (sealKey, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "mcpo store: sealing", 32)
	if err != nil {
		return sealKey{}, err
	}
	id, err := hkdf.Key(sha256.New, []byte(secret), nil, "mcpo store: name of the key", 8)
	if err != nil {
		return sealKey{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealKey{hex.EncodeToString(id), aead}, err
}

// keyring holds the keys of a store. The first seals, all open.
type keyring []sealKey

// add appends the key of a secret.
func (ring *keyring) add(secret string) error {
	if len(secret) < minSecretLen {
		return fmt.Errorf("it has %d bytes and needs at least %d", len(secret), minSecretLen)
	}
	key, err := newSealKey(secret)
	if err != nil {
		return err
	}
	*ring = append(*ring, key)
	return nil
}

// find returns the key that e is sealed with.
func (ring keyring) find(e envelope) (sealKey, error) {
	for _, key := range ring {
		if key.id == e.SealKey {
			return key, nil
		}
	}
	return sealKey{}, ErrWrongKey
}

// seal gives the bytes of a record's file.
func (ring keyring) seal(r Record) ([]byte, error) {
	e := envelope{
		Version: version, SealKey: ring[0].id, Kind: r.Key.Kind,
		Server: r.Key.Server, Caller: r.Key.Caller.String(), Name: r.Key.Name,
		Expires: r.copied().Expires,
	}
	e.Sealed = ring[0].aead.Seal(nil, nil, r.Value, e.bound())
	return json.Marshal(e)
}

// open gives the record that the bytes of a file hold. Its errors are
// ErrCorrupt, ErrWrongKey and that of parse.
func (ring keyring) open(file []byte) (Record, error) {
	e, err := parse(file)
	if err != nil {
		return Record{}, err
	}
	key, err := ring.find(e)
	if err != nil {
		return Record{}, err
	}
	value, err := key.aead.Open(nil, nil, e.Sealed, e.bound())
	if err != nil {
		return Record{}, fmt.Errorf("%w: its seal is broken", ErrCorrupt)
	}
	k := Key{Kind: e.Kind, Server: e.Server, Caller: caller.FromStore(e.Caller), Name: e.Name}
	return Record{Key: k, Value: value, Expires: e.Expires}.copied(), nil
}

// parse reads an envelope and leaves it sealed. A later version of mcpo may
// know what to do with an envelope that this one does not know, so that is not
// ErrCorrupt.
func parse(file []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(file, &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	switch {
	case e.Version > version:
		return envelope{}, fmt.Errorf("written by a later mcpo, in version %d of the format", e.Version)
	case e.Version < version || e.SealKey == "":
		return envelope{}, fmt.Errorf("%w: it is no record of mcpo's", ErrCorrupt)
	}
	return e, nil
}
