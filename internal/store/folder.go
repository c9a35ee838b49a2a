package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// The folder of a store:
//
//	key                                      the key, unless one was given
//	tokens/<server>/<caller and name>.json   grants
//	registrations/<key>.json                 and logins, tickets, catalogues
//	locks/                                   what lock.go locks
//
// What stands in angle brackets is hashed. Beside a record may lie a temporary
// file, of a write that goes on or was cut off, and files that were set aside.
const (
	keyFile    = "key"
	lockFolder = "locks"
	tempSuffix = ".tmp"
)

// subfolder names the folder that holds records of a kind.
func (k Kind) subfolder() string {
	if k == Grants {
		return "tokens"
	}
	return string(k) + "s"
}

// path names the file of a record in the folder of a store.
func (k Key) path(dir string) string {
	dir = filepath.Join(dir, k.Kind.subfolder())
	if k.Kind == Grants {
		return filepath.Join(dir, hash(k.Server), hash(k.Caller.String(), k.Name)+".json")
	}
	return filepath.Join(dir, k.hash()+".json")
}

// paths lists the files of the records of a kind, and those that a temporary
// file lies beside. It leaves out whatever else is in the folder.
func paths(dir string, kind Kind) (records, interrupted []string, err error) {
	dir = filepath.Join(dir, kind.subfolder())
	folders := []string{dir}
	if kind == Grants {
		if folders, err = matching(dir, ""); err != nil {
			return nil, nil, err
		}
	}
	for _, folder := range folders {
		found, err := matching(folder, ".json")
		if err != nil {
			return nil, nil, err
		}
		temps, err := matching(folder, ".json"+tempSuffix)
		if err != nil {
			return nil, nil, err
		}
		for _, temp := range temps {
			interrupted = append(interrupted, strings.TrimSuffix(temp, tempSuffix))
		}
		records = append(records, found...)
	}
	return records, interrupted, nil
}

// matching lists what is named by a hash and an ending in a folder. A folder
// that is not there holds nothing.
func matching(folder, ending string) (found []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ending)
		if sum, err := hex.DecodeString(name); ok && err == nil && len(sum) == sha256.Size {
			found = append(found, filepath.Join(folder, entry.Name()))
		}
	}
	return found, nil
}

// makeFolders makes the folder of a store and those in it, closed to others,
// and closes those that are there.
func makeFolders(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := tighten(dir); err != nil {
		return err
	}
	for _, name := range subfolders() {
		path := filepath.Join(dir, name)
		if err := errors.Join(makeFolder(path), os.Chmod(path, 0o700)); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder in one that is there, unless there is one.
func makeFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		if info, stat := os.Stat(path); stat == nil && info.IsDir() {
			return nil
		}
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// subfolders are the folders in the folder of a store.
func subfolders() []string {
	names := []string{lockFolder}
	for _, kind := range kinds() {
		names = append(names, kind.subfolder())
	}
	return names
}

// tighten closes the folder of a store to others if nothing but the store is
// in it: a folder that holds more may be meant for more than us. It is not an
// error that the folder belongs to somebody else, for those in it are ours.
func tighten(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != keyFile && name != keyFile+tempSuffix && !slices.Contains(subfolders(), name) {
			return nil
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// writeFile puts a file in its place as a whole: whoever reads it, even after
// the power failed, finds the old content or the new. Nobody else may write
// the same file at the same time.
func writeFile(path string, content []byte) error {
	temp := path + tempSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncFolder(filepath.Dir(path))
}

// removeFile deletes a file that may be there, for good.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes what happened in a folder outlive a power failure, where the
// file system offers that. Windows does not.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = errors.Join(folder.Sync(), folder.Close())
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
