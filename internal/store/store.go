// Package store keeps small secret records: what a login leaves behind, and
// what it needs on its way.
//
//	a record ── Put ──▶ sealed ──▶ a file, written anew and renamed
//	a record ◀── Get ── opened ◀── the file its key names
//
// [Memory] forgets everything with the process. [Files] keeps one file for a
// record in a folder that several processes may share. Both do the same
// otherwise: a record is found until it expires, Take gives it to one of many
// who ask at once, and Lock lets one work at a time.
//
// What a record says is the business of its writer. Here it is bytes.
package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"mcpo/internal/caller"
)

// Kind is what a record is about.
type Kind string

// The kinds of records.
const (
	Grants        Kind = "grant"        // the tokens a caller holds for a server
	Registrations Kind = "registration" // our client id at an authorization server
	Logins        Kind = "login"        // an authorization in progress
	Tickets       Kind = "ticket"       // a link that begins one
	Catalogues    Kind = "catalogue"    // the tools of a server, as they were last seen
	Visits        Kind = "visit"        // whose login was finished in a browser lately
)

// kinds are all kinds.
func kinds() []Kind { return []Kind{Grants, Registrations, Logins, Tickets, Catalogues, Visits} }

// Key names a record. Parts that a kind has no use for stay empty. Keys that
// differ in any part, if only in case, name different records.
type Key struct {
	Kind   Kind
	Server string
	Caller caller.ID
	Name   string
}

// Record is what is kept under a key.
type Record struct {
	Key   Key
	Value []byte
	// Expires is when the record stops being found. The zero time is never.
	Expires time.Time
}

var (
	// ErrNotFound says that there is no record under the key, or no longer.
	ErrNotFound = errors.New("no such record")
	// ErrCorrupt says that the record was damaged, or was put in the place of
	// another. It has been moved aside: asked again, the answer is ErrNotFound.
	ErrCorrupt = errors.New("the record is damaged")
	// ErrWrongKey says that records are sealed with an encryption key that was
	// not given. They stay as they are.
	ErrWrongKey = errors.New("sealed with another encryption key")
	// ErrUnavailable says that the store cannot be asked now, as when its
	// database is down. Nothing is known of the record. A change may have been
	// made all the same.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrLockLost refuses a change by somebody whose lock is another's by now.
	ErrLockLost = errors.New("the lock was lost meanwhile")
)

// check tells what is wrong with a key that no record can have.
func (k Key) check() error {
	if !slices.Contains(kinds(), k.Kind) {
		return fmt.Errorf("there is no kind of record named %q", k.Kind)
	}
	for _, part := range []string{k.Server, k.Caller.String(), k.Name} {
		if !utf8.ValidString(part) {
			return fmt.Errorf("the key of a %s is not UTF-8: %q", k.Kind, part)
		}
	}
	return nil
}

// expired tells whether the record is no longer to be found.
func (r Record) expired() bool {
	return !r.Expires.IsZero() && !time.Now().Before(r.Expires)
}

// prefixed joins parts so that no two lists of parts give the same bytes: each
// is preceded by its length.
func prefixed(parts ...string) []byte {
	var joined []byte
	for _, part := range parts {
		joined = binary.BigEndian.AppendUint64(joined, uint64(len(part)))
		joined = append(joined, part...)
	}
	return joined
}

// hash names parts in a way that is safe in a file name: 64 hexadecimal digits.
func hash(parts ...string) string {
	sum := sha256.Sum256(prefixed(parts...))
	return hex.EncodeToString(sum[:])
}

// hash names the key.
func (k Key) hash() string {
	return hash(string(k.Kind), k.Server, k.Caller.String(), k.Name)
}
