package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// loadKeys gives the keys of a store: those of the secrets that were given, and
// the one that lies in the folder. Without any it makes one, but not where
// records are that it could never open. The caller holds the lock of the key.
func loadKeys(o Options) (keyring, error) {
	ring, err := newKeyring(o.Keys)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, keyFile)
	secret, found, err := readKey(path)
	if err != nil {
		return nil, err
	}
	if found {
		if err := ring.add(secret); err != nil {
			return nil, fmt.Errorf("the key in %s is damaged: %w; restore the file, or move %s away to begin anew", path, err, o.Dir)
		}
	}
	if err := checkKeys(o.Dir, ring); err != nil || len(ring) > 0 {
		return ring, err
	}
	secret = newSecret()
	if err := writeFile(path, []byte(secret+"\n")); err != nil {
		return nil, fmt.Errorf("keeping a new encryption key: %w", err)
	}
	err = ring.add(secret)
	return ring, err
}

// newKeyring holds the keys of secrets that were given.
func newKeyring(secrets []string) (keyring, error) {
	var ring keyring
	for i, secret := range secrets {
		if err := ring.add(secret); err != nil {
			return nil, fmt.Errorf("the encryption key number %d is too weak: %w; 32 random ones are good", i+1, err)
		}
	}
	return ring, nil
}

// newSecret makes a secret of 256 bits.
func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it ends the process rather than fail
	return hex.EncodeToString(secret)
}

// readKey reads the secret in a file that may be there, and closes the file to
// others.
func readKey(path string) (secret string, found bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading the encryption key: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, fs.ErrPermission) {
		return "", false, fmt.Errorf("closing the encryption key to others: %w", err)
	}
	return strings.TrimSpace(string(content)), true, nil
}

// checkKeys fails when there are records that no key opens, while nothing is
// lost yet. Damaged records are none of its business: they are set aside when
// somebody asks for them.
func checkKeys(dir string, ring keyring) error {
	all, sealed, example := 0, 0, error(nil)
	for _, kind := range kinds() {
		records, _, err := paths(dir, kind)
		if err != nil {
			return fmt.Errorf("listing the records: %w", err)
		}
		for _, path := range records {
			all++
			if err := checkKey(path, ring); err != nil {
				sealed, example = sealed+1, err
			}
		}
	}
	if sealed == 0 {
		return nil
	}
	return fmt.Errorf("%d of the %d records in %s do not open: %w; give the encryption key they were sealed with too, after the new one, or move the folder away to begin anew", sealed, all, dir, example)
}

// checkKey tells why a record cannot be opened that is not damaged.
func checkKey(path string, ring keyring) error {
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process deleted it
	}
	if err != nil {
		return err
	}
	e, err := parse(file)
	if err == nil {
		_, err = ring.find(e)
	}
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}
