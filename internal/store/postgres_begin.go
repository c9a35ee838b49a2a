package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// migrations are the steps from an empty database to the tables of today, in
// files that begin with their numbers, 0001 and up. A file that was released is
// never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is what replicas lock out each other with while they migrate:
// "mcpo" in ASCII.
const migrationLock = 0x6d63706f

var (
	errNewer   = errors.New("its tables are those of a later mcpo")
	errRefused = errors.New(refusedReason)
)

// begin brings the tables up to date and makes sure that the keys are right.
func (p *Postgres) begin(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, p.pool.Load(), func(tx pgx.Tx) error {
		if err := migrate(ctx, tx); err != nil {
			return err
		}
		return p.ring.checkDatabase(ctx, tx)
	})
	err = explainRefusal(err)
	if _, away := unreachable(err); err == nil || away {
		return err
	}
	return fmt.Errorf("beginning with the database: %w", err)
}

// migrate applies the steps that the database has not seen.
func migrate(ctx context.Context, tx pgx.Tx) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	at, err := schemaVersion(ctx, tx)
	if err != nil || at == len(steps) {
		return err
	}
	// Once more, alone: others may have done it meanwhile. The lock ends with the
	// transaction.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	if at, err = schemaVersion(ctx, tx); err != nil {
		return err
	}
	if at > len(steps) {
		return fmt.Errorf("%w, in version %d; this one knows those up to %d: start the later one, or give this one a database of its own", errNewer, at, len(steps))
	}
	for _, step := range steps[at:] {
		if err := apply(ctx, tx, step); err != nil {
			return err
		}
	}
	return nil
}

// schemaVersion is the number of the last step that the database has seen.
func schemaVersion(ctx context.Context, tx pgx.Tx) (at int, err error) {
	var there bool
	// Not to_regclass, which may remember that it was not there.
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'mcpo_schema' AND pg_table_is_visible(oid))").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM mcpo_schema").Scan(&at)
	return at, err
}

func apply(ctx context.Context, tx pgx.Tx, step string) error {
	statements, err := migrations.ReadFile(step)
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(step, "migrations/"), "_")
	number, err := strconv.Atoi(digits)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS mcpo_schema (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, string(statements)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO mcpo_schema (version) VALUES ($1)", int64(number))
	return err
}

// checkDatabase fails when replicas with other keys use the database, or there
// are records that no key opens. Else it notes the key that seals from now on.
func (ring keyring) checkDatabase(ctx context.Context, tx pgx.Tx) error {
	var shared, all, sealed int
	var known bool
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM mcpo_keys), EXISTS (SELECT FROM mcpo_keys WHERE id = ANY($1)),
		count(*), count(*) FILTER (WHERE seal_key <> ALL($1)) FROM mcpo_records`, ring.ids()).Scan(&shared, &known, &all, &sealed)
	switch {
	case err != nil:
		return err
	case sealed > 0:
		return fmt.Errorf("%d of its %d records do not open: %w; give the encryption key they were sealed with too, after the new one, or use an empty database to begin anew", sealed, all, ErrWrongKey)
	case shared > 0 && !known:
		return fmt.Errorf("other replicas keep records in it that are %w; give all of them the same encryption keys, or use an empty database to begin anew", ErrWrongKey)
	}
	_, err = tx.Exec(ctx, "INSERT INTO mcpo_keys (id) VALUES ($1) ON CONFLICT DO NOTHING", ring[0].id)
	return err
}

// ids are the ids of all keys.
func (ring keyring) ids() []string {
	ids := make([]string, len(ring))
	for i, key := range ring {
		ids[i] = key.id
	}
	return ids
}

// explainRefusal says what to do about a database that was reached and does not
// let mcpo in, which waiting does not mend.
func explainRefusal(err error) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return err
	}
	switch reason, _ := answered(said); {
	case reason == refusedReason:
		return fmt.Errorf("%w: %s; check the user, the password and the database of its DSN", errRefused, said.Message)
	case said.Code == "42501": // insufficient_privilege
		return fmt.Errorf("%w: %s; grant CREATE on its schema to the user of the DSN", errRefused, said.Message)
	}
	return err
}
