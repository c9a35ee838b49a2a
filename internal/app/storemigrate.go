package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
)

// Migration says where records go: from and to are config.FileStorage or
// config.PostgresStorage, and not the same.
type Migration struct {
	From, To string
	// Overwrite replaces what the target has, even if it is newer.
	Overwrite bool
}

// MigrateStore copies grants, registrations and catalogues from one store of the
// configuration's storage block to the other, and writes how many those were. The
// source stays as it was. What is newer in the target is kept, so that it may be
// done again. The error is an *ExitError when a store cannot be reached, or
// something was not copied.
func MigrateStore(ctx context.Context, o Options, m Migration, w io.Writer) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	if err := m.check(cfg.Storage); err != nil {
		return err
	}
	from, err := reach(o, cfg.Storage, m.From)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := reach(o, cfg.Storage, m.To)
	if err != nil {
		return err
	}
	defer to.close()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, kind := range []store.Kind{store.Grants, store.Registrations, store.Catalogues} {
		did, err := m.copyAll(ctx, from, to, kind)
		fmt.Fprintf(table, "%ss\t%s\n", kind, did)
		if err != nil {
			return &ExitError{Code: 1, Err: errors.Join(fmt.Errorf("copying every %s: %w; what was copied stays, and the same command goes on", kind, err), table.Flush())}
		}
	}
	fmt.Fprintln(table, "Logins in progress and links to begin one were not copied: they last for minutes only. The source is as it was.")
	if cfg.Storage.Type != m.To {
		fmt.Fprintf(table, "To use the copy, write \"type\": %q into the storage block, and start mcpo again.\n", m.To)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing what was copied: %w", err)
	}
	return nil
}

// check tells what the storage block lacks.
func (m Migration) check(at config.Storage) error {
	switch {
	case at.DSN == "":
		return failf(`the configuration names no database; write into it: "storage": {"dsn": "${DATABASE_URL}", …}, with "type" for the store that is in use`)
	case len(at.EncryptionKeys) == 0:
		return failf("records in a database need an encryption key; make one with: openssl rand -base64 32, and write it as storage.encryption_key")
	case at.Path == "":
		return failf(`the configuration names no folder, and there is no home folder; write into it: "storage": {"path": "/a/folder", …}`)
	}
	if m.From == config.FileStorage {
		if info, err := os.Stat(at.Path); err != nil || !info.IsDir() {
			return failf("there is no storage folder %s to copy from; storage.path names it", at.Path)
		}
	}
	return nil
}

// reach opens one of the two stores of a storage block, which has to be there.
func reach(o Options, at config.Storage, kind string) (*opened, error) {
	at.Type = kind
	there, err := openStorage(o, at)
	if err != nil {
		return nil, &ExitError{Code: 1, Err: err}
	}
	if p, is := there.durable.(*store.Postgres); is {
		if err := p.Health(); err != nil {
			there.close()
			return nil, failf("the database of storage.dsn: %w; nothing was copied", err)
		}
	}
	return there, nil
}

// copies counts what became of records.
type copies struct{ copied, same, kept int }

// String says it for a person.
func (c copies) String() string {
	said := fmt.Sprintf("%d copied", c.copied)
	if c.same > 0 {
		said += fmt.Sprintf(", %d already there", c.same)
	}
	if c.kept > 0 {
		said += fmt.Sprintf(", %d kept as the target has them (--overwrite replaces them)", c.kept)
	}
	return said
}

// copyAll copies the records of a kind.
func (m Migration) copyAll(ctx context.Context, from, to *opened, kind store.Kind) (did copies, err error) {
	records, err := from.List(ctx, kind)
	if err != nil {
		return did, err
	}
	for _, r := range records {
		if err := m.copyOne(ctx, r, to, &did); err != nil {
			return did, err
		}
	}
	return did, nil
}

// copyOne copies a record under its lock: a mcpo may be at work on the target.
func (m Migration) copyOne(ctx context.Context, r store.Record, to *opened, did *copies) error {
	held, unlock, err := to.Lock(ctx, r.Key)
	if err != nil {
		return err
	}
	defer unlock()
	there, err := to.Get(held, r.Key)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt):
		return err
	case err == nil && bytes.Equal(there.Value, r.Value) && there.Expires.Equal(r.Expires):
		did.same++
		return nil
	case err == nil && !m.Overwrite && !oauth.Newer(r, there):
		did.kept++
		return nil
	}
	if err := to.Put(held, r); err != nil {
		return err
	}
	did.copied++
	return nil
}

// StoreKeys writes how many records of the store in use are sealed with the first
// of the encryption keys, and how many with others, so that somebody who changes
// keys knows when the old one can go.
func StoreKeys(ctx context.Context, o Options, w io.Writer) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	kept, err := openStorage(o, cfg.Storage)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	defer kept.close()
	seals, err := kept.Seals(ctx)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	said := "The other keys can be taken away."
	switch {
	case seals.None > 0:
		said = "Records that none of the keys opens need theirs back, or are lost."
	case seals.Others > 0:
		said = "The other keys are still needed. A running mcpo seals records anew within minutes."
	case len(cfg.Storage.EncryptionKeys) < 2:
		said = "There are no other keys."
	}
	_, err = fmt.Fprintf(w, "%d records are sealed with the first key, %d with another of the keys, %d with none of them.\n%s\n", seals.First, seals.Others, seals.None, said)
	return err
}
