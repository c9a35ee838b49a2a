package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"mcpo/internal/pgtest"
	"mcpo/internal/store"
)

// TestDamagedRows edits the row of ada's grant in one way each: ada is told once
// and begins anew, and bob notices nothing.
func TestDamagedRows(t *testing.T) {
	const adas = "UPDATE mcpo_records SET record = %s WHERE convert_from(record, 'UTF8') LIKE '%\"ada\"%'"
	edit := func(expression string) string { return strings.Replace(adas, "%s", expression, 1) }
	replace := func(old, new string) string {
		return edit("convert_to(replace(convert_from(record, 'UTF8'), '" + old + "', '" + new + "'), 'UTF8')")
	}
	server := pgtest.Shared(t)
	for name, damage := range map[string]string{
		"empty":          edit("''"),
		"cut off":        edit("substr(record, 1, length(record) / 2)"),
		"not JSON":       edit(`'\x000102'`),
		"another's":      edit("(SELECT record FROM mcpo_records WHERE convert_from(record, 'UTF8') LIKE '%\"bob\"%')"),
		"another caller": replace(`"ada"`, `"Ada"`),
		"another server": replace(`"notes"`, `"mail"`),
		"no end of life": replace(`"expires"`, `"expired"`),
		"a broken seal":  replace(`"sealed":"`, `"sealed":"AAAA`),
	} {
		t.Run(name, func(t *testing.T) {
			dsn, lines := server.NewDatabase(t), &bytes.Buffer{}
			s := openLogged(t, dsn, slog.New(slog.NewTextHandler(lines, nil)))
			ada, bob := grant("notes", "ada"), grant("notes", "bob")
			putWithEnd(t, s, ada, "ada's token")
			putWithEnd(t, s, bob, "bob's token")
			before := dump(t, dsn)
			pgtest.SQL(t, dsn, damage)
			if dump(t, dsn) == before {
				t.Fatal("the damage changes nothing")
			}
			openPostgres(t, dsn) // it does not keep mcpo from starting
			wantErrorIn(t, s, ada, store.ErrCorrupt)
			wantErrorIn(t, s, ada, store.ErrNotFound)
			wantIn(t, s, bob, "bob's token")
			if n := strings.Count(lines.String(), "level=ERROR"); n != 1 || strings.Contains(lines.String(), "token\"") {
				t.Errorf("want one line, without a secret:\n%s", lines)
			}
			if aside := pgtest.SQL(t, dsn, "SELECT kind FROM mcpo_damaged"); len(aside) != 1 || aside[0] != "grant" {
				t.Errorf("set aside: %q", aside)
			}
			putIn(t, s, ada, "a new token")
			wantIn(t, s, ada, "a new token")
		})
	}
}

// TestColumnsAreNotBelieved edits what stands beside the seal.
func TestColumnsAreNotBelieved(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	s := openPostgres(t, dsn)
	putWithEnd(t, s, grant("notes", "ada"), "token")
	pgtest.SQL(t, dsn, "UPDATE mcpo_records SET expires = NULL, kind = 'login'")
	wantIn(t, s, grant("notes", "ada"), "token")
	if found, err := s.List(t.Context(), store.Logins); err != nil || len(found) != 0 {
		t.Errorf("a grant is listed as a login: %v, %v", found, err)
	}
	wantErrorIn(t, s, grant("notes", "ada"), store.ErrNotFound) // it was set aside
}

// TestDamageIsFoundByTakeAndList checks the other ways to come upon it.
func TestDamageIsFoundByTakeAndList(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	s := openPostgres(t, dsn)
	putIn(t, s, grant("notes", "ada"), "token")
	pgtest.SQL(t, dsn, "UPDATE mcpo_records SET record = 'x'")
	putIn(t, s, grant("notes", "bob"), "token")
	if found, err := s.List(t.Context(), store.Grants); err != nil || len(found) != 1 {
		t.Errorf("List = %v, %v; want bob's alone", found, err)
	}
	pgtest.SQL(t, dsn, "UPDATE mcpo_records SET record = 'x'")
	if _, err := s.Take(t.Context(), grant("notes", "bob")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Take: %v, want ErrCorrupt", err)
	}
	if aside := pgtest.SQL(t, dsn, "SELECT count(*) FROM mcpo_damaged"); aside[0] != "2" {
		t.Errorf("%s were set aside, want 2", aside[0])
	}
}

func TestNothingSecretIsInTheDatabase(t *testing.T) {
	dsn := pgtest.Shared(t).NewDatabase(t)
	putIn(t, openPostgres(t, dsn), grant("notes", "ada"), "a very secret token")
	for _, row := range pgtest.SQL(t, dsn, "SELECT convert_from(record, 'UTF8') FROM mcpo_records; SELECT id FROM mcpo_keys") {
		if strings.Contains(row, "secret") {
			t.Errorf("a row holds a secret: %s", row)
		}
	}
}
