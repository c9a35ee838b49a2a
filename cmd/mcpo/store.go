package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"mcpo/internal/app"
	"mcpo/internal/config"
)

// storeCommands are what mcpo does about the store as a whole.
type storeCommands struct {
	migrate func(ctx context.Context, o app.Options, m app.Migration, w io.Writer) error
	keys    func(ctx context.Context, o app.Options, w io.Writer) error
}

const (
	migrateLine = "mcpo store migrate --config FILE --from file --to postgres"
	keysLine    = "mcpo store keys --config FILE"
)

// addStoreCommands gives root the commands about the store.
func (p *program) addStoreCommands(root *cobra.Command, s *settings) {
	parent := &cobra.Command{Use: "store", Short: "Move what is kept from files to PostgreSQL or back, or count by encryption keys",
		RunE: func(*cobra.Command, []string) error {
			return usagef("store needs a word more; write: %s, or: %s", migrateLine, keysLine)
		}}
	var m app.Migration
	migrate := &cobra.Command{Use: "migrate", Short: "Copy logins from files to PostgreSQL, or back", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runMigrate(cmd, s, m, args) }}
	keys := &cobra.Command{Use: "keys", Short: "Count what is kept by the encryption key that it is sealed with", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runKeys(cmd, s, args) }}
	s.addTo(migrate)
	s.addTo(keys)
	migrate.Flags().Var(value(&m.From, "STORE", "", parseStore), "from", "file or postgres")
	migrate.Flags().Var(value(&m.To, "STORE", "", parseStore), "to", "file or postgres")
	migrate.Flags().BoolVar(&m.Overwrite, "overwrite", false, "replace what the target has, even if it is newer")
	parent.AddCommand(migrate, keys)
	root.AddCommand(parent)
}

func parseStore(text string) (string, error) {
	if text != config.FileStorage && text != config.PostgresStorage {
		return "", errors.New("write file or postgres")
	}
	return text, nil
}

// runMigrate is mcpo store migrate.
func (p *program) runMigrate(cmd *cobra.Command, s *settings, m app.Migration, args []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	switch {
	case len(args) > 0 || cmd.ArgsLenAtDash() >= 0 || s.configPath == "" || m.From == "" || m.To == "":
		return usagef("migrate needs a configuration and two stores, and no more; write: %s", migrateLine)
	case m.From == m.To:
		return usagef("--from and --to are the same store; write: %s", migrateLine)
	}
	o, err := p.loginOptions(s, nil)
	if err != nil {
		return err
	}
	return p.stores.migrate(cmd.Context(), o, m, p.stdout)
}

// runKeys is mcpo store keys.
func (p *program) runKeys(cmd *cobra.Command, s *settings, args []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	if len(args) > 0 || cmd.ArgsLenAtDash() >= 0 || s.configPath == "" {
		return usagef("keys needs a configuration and no more; write: %s", keysLine)
	}
	o, err := p.loginOptions(s, nil)
	if err != nil {
		return err
	}
	return p.stores.keys(cmd.Context(), o, p.stdout)
}
