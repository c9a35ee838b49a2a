package store

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"mcpo/internal/caller"
)

func testRing(t testing.TB) keyring {
	var ring keyring
	if err := ring.add("a secret of some thirty letters."); err != nil {
		t.Fatal(err)
	}
	return ring
}

// FuzzOpen changes a file in any way: what still opens is what was sealed.
func FuzzOpen(f *testing.F) {
	ring := testRing(f)
	sealed := Record{
		Key:   Key{Kind: Grants, Server: "notes", Caller: caller.FromStore("ada"), Name: "n"},
		Value: []byte("token"), Expires: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC),
	}
	file, err := ring.seal(sealed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(bytes.ToUpper(file))
	f.Add(bytes.Replace(file, []byte(`"kind"`), []byte(`"Kind"`), 1))
	f.Add(bytes.Replace(file, []byte("Z"), []byte("+01:00"), 1))
	f.Add([]byte(`{"version":1,"key":"` + ring[0].id + `","sealed":""}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := ring.open(file)
		if err != nil {
			return
		}
		if r.Key != sealed.Key || !r.Expires.Equal(sealed.Expires) || !bytes.Equal(r.Value, sealed.Value) {
			t.Errorf("%s opens as %v", file, r)
		}
	})
}

// TestSealsDiffer holds that nobody sees from two files that they hold the same.
func TestSealsDiffer(t *testing.T) {
	ring, r := testRing(t), Record{Key: Key{Kind: Tickets}, Value: []byte("token")}
	one, err := ring.seal(r)
	if err != nil {
		t.Fatal(err)
	}
	two, err := ring.seal(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one, two) {
		t.Error("a record is sealed the same way twice")
	}
}

// TestFormat opens a file of the first version. It must always open: it is what
// users have on their disks.
func TestFormat(t *testing.T) {
	const file = `{"version":1,"key":"8bc0352a9bb540fb","kind":"grant","server":"notes","caller":"ada","expires":"2030-01-02T03:04:05.000000006Z","sealed":"I3PgicnsFSJSx+0jm7BjgVzqcDyq8yWZ1zoJT0+Kx16K"}`
	r, err := testRing(t).open([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Key{Kind: Grants, Server: "notes", Caller: caller.FromStore("ada")}
	if r.Key != want || string(r.Value) != "token" || !r.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)) {
		t.Errorf("the record is %v", r)
	}
	const path = "tokens/b4f22769a7f71fc5bdaa74cb42a1844d13178049d4e1a3f322acfc55efd2d4ac/6e324387af7fca768504bbb3864ecaaf823af44bf6588f929264f243d68fdf17.json"
	if got := filepath.ToSlash(want.path("")); got != path {
		t.Errorf("its file is %s, want %s", got, path)
	}
}
