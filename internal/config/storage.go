package config

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Where grants are kept that outlive mcpo.
const (
	FileStorage     = "file"     // in a folder
	PostgresStorage = "postgres" // in a database, which replicas share
)

// Storage is where grants are kept. One block may tell of both places, so that
// records can be moved from one to the other; Type is the one in use.
type Storage struct {
	// Type is FileStorage or PostgresStorage.
	Type string
	// Path is a folder, its ~ expanded; "" when there is no home folder and
	// nobody needs one.
	Path string
	// DSN says where the database is, and is not "" where it is in use. It is not
	// looked into here.
	DSN Secret
	// EncryptionKeys are what to encrypt with: the first seals, all open.
	// Without any, a key is made and kept in the folder. A database needs one.
	EncryptionKeys []Secret
}

// minKey is the least length of an encryption key in bytes.
const minKey = 16

// storage reads the storage block and fills in what is not told; v is the whole
// file.
func (r *reader) storage(v hujson.Value, servers []Server) (s Storage) {
	s.Type = FileStorage
	if given(v, "storage") {
		s = r.storageBlock(at(v, "storage"), "storage")
	}
	if s.EncryptionKeys == nil {
		listed, _ := r.env("MCPO_ENCRYPTION_KEY")
		s.EncryptionKeys = r.keys(v, "storage.encryption_key", "the environment variable MCPO_ENCRYPTION_KEY", strings.Split(listed, ","))
	}
	r.checkDatabase(v, s)
	if s.Type == PostgresStorage {
		r.checkMemory(v, servers)
	}
	if has(v, "storage") && given(at(v, "storage"), "path") {
		return s
	}
	if home := r.home(); home != "" {
		s.Path = filepath.Join(home, ".mcpo")
	} else if s.Type == FileStorage && slices.ContainsFunc(servers, func(s Server) bool { return s.OAuth != nil && s.OAuth.StorageType == "file" }) {
		r.problem(v, "storage.path", `write "storage": {"path": "/a/folder"}, or set HOME`, "there is no home folder to keep grants in")
	}
	return s
}

// checkDatabase says what a block about a database lacks.
func (r *reader) checkDatabase(v hujson.Value, s Storage) {
	if !given(v, "storage") || len(r.problems) > 0 {
		return // what cannot be read may not be missing
	}
	block := at(v, "storage")
	switch {
	case s.Type == FileStorage && s.DSN != "" && !given(block, "type"):
		r.problem(at(block, "dsn"), "storage.dsn", `write "type": "postgres" beside it, or "type": "file" to have it only for mcpo store migrate`, "it does not say whether this database is in use")
	case s.Type == PostgresStorage && s.DSN == "":
		r.problem(block, "storage.dsn", `write "dsn": "${DATABASE_URL}", which stands for postgres://user:password@host:5432/database`, "there is no database to keep grants in")
	case s.Type == PostgresStorage && len(s.EncryptionKeys) == 0:
		r.problem(block, "storage.encryption_key", "make one with: openssl rand -base64 32, and give it to all replicas", "grants in a database need an encryption key")
	}
}

// checkMemory warns of servers whose logins replicas do not share, though they have
// a database to do so.
func (r *reader) checkMemory(v hujson.Value, servers []Server) {
	for _, s := range servers {
		if s.OAuth != nil && s.OAuth.StorageType == "memory" {
			block := at(at(at(v, "mcpServers"), s.Name), "oauth")
			r.warn(at(block, "storage_type"), join(join("mcpServers", s.Name), "oauth.storage_type"), `leave it out, or write "file", which then stands for the database`,
				"these logins are in the memory of one mcpo, and unknown to others that share the database")
		}
	}
}

func (r *reader) storageBlock(v hujson.Value, path string) (s Storage) {
	s.Type = FileStorage
	members, ok := r.object(v, path)
	if !ok {
		return s
	}
	for _, m := range members {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "type":
			s.Type = r.oneOf(m.Value, at, FileStorage, PostgresStorage)
		case key == "dsn":
			s.DSN = Secret(r.text(m.Value, at)) // "" is what an unset ${VAR:-} gives
		case key == "path":
			s.Path = r.folder(m.Value, at)
		case key == "encryption_key":
			s.EncryptionKeys = r.encryptionKeys(m.Value, at)
		default:
			r.unknown(m, path, []string{"type", "path", "dsn", "encryption_key"})
		}
	}
	return s
}

// folder reads a path that may begin with ~, the home folder.
func (r *reader) folder(v hujson.Value, path string) string {
	before := len(r.problems)
	s := r.filled(v, path, "write the path of a folder")
	if len(r.problems) > before || !strings.HasPrefix(s, "~") {
		return s
	}
	rest := strings.TrimLeft(s[1:], `/\`)
	if rest == s[1:] && rest != "" {
		r.problem(v, path, "~ alone is your home folder; write another's in full", "this begins with the home folder of somebody else")
		return ""
	}
	home := r.home()
	if home == "" {
		r.problem(v, path, "write the path in full", "there is no home folder for ~ to stand for")
		return ""
	}
	return filepath.Join(home, rest)
}

// home is the home folder as os.UserHomeDir finds it, or "".
func (r *reader) home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	home, _ := r.env(name)
	return home
}

// encryptionKeys reads one key, or a list for a change of keys. An empty one is
// what an unset ${VAR:-} gives, and counts for none.
func (r *reader) encryptionKeys(v hujson.Value, path string) []Secret {
	var texts []string
	if _, ok := v.Value.(*hujson.Array); ok {
		texts = r.list(v, path)
	} else {
		texts = []string{r.text(v, path)}
	}
	return r.keys(v, path, "this", texts)
}

// keys checks the lengths; what names where the keys stand.
func (r *reader) keys(v hujson.Value, path, what string, texts []string) []Secret {
	var keys []Secret
	for _, text := range texts {
		switch text = strings.TrimSpace(text); {
		case text == "":
		case len(text) < minKey:
			r.problem(v, path, "make one with: openssl rand -base64 32", "%s holds a key of fewer than %d bytes", what, minKey)
		default:
			keys = append(keys, Secret(text))
		}
	}
	return keys
}
