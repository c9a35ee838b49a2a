package store

import (
	"strings"
	"testing"
)

// FuzzNotes: a note comes back as it was told, and nothing else is one, whatever
// is sent to those who listen.
func FuzzNotes(f *testing.F) {
	ring, err := newKeyring([]string{"the first secret, of 32 letters."})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", "notes", "ada")
	f.Add(ring[0].id+".", "notes", "ada")
	f.Add(ring[0].id+".AAAA", "a\x00b", "é")
	f.Fuzz(func(t *testing.T, sent, server, who string) {
		if n, ok := ring.openNote(sent); ok {
			t.Errorf("%q is taken for %+v", sent, n)
		}
		told := note{By: "a", Kind: Grants, Server: strings.ToValidUTF8(server, ""), Caller: strings.ToValidUTF8(who, "")}
		sealed, err := ring.sealNote(told)
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := ring.openNote(sealed); !ok || n != told {
			t.Errorf("%+v comes back as %+v, %t", told, n, ok)
		}
		if n, ok := ring.openNote(sealed + sent); ok && sent != "" && strings.Trim(sent, "\r\n") != "" {
			t.Errorf("with %q behind it is taken for %+v", sent, n)
		}
	})
}
