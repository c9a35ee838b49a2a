package config

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Storage is where grants are kept.
type Storage struct {
	// Path is a folder, its ~ expanded; "" when there is no home folder and
	// nobody needs one.
	Path string
	// EncryptionKeys are what to encrypt with: the first seals, all open.
	// Without any, a key is made and kept in the folder.
	EncryptionKeys []Secret
}

// minKey is the least length of an encryption key in bytes.
const minKey = 16

// storage reads the storage block and fills in what is not told; v is the whole
// file.
func (r *reader) storage(v hujson.Value, servers []Server) (s Storage) {
	if given(v, "storage") {
		s = r.storageBlock(at(v, "storage"), "storage")
	}
	if s.EncryptionKeys == nil {
		listed, _ := r.env("MCPO_ENCRYPTION_KEY")
		s.EncryptionKeys = r.keys(v, "storage.encryption_key", "the environment variable MCPO_ENCRYPTION_KEY", strings.Split(listed, ","))
	}
	if has(v, "storage") && given(at(v, "storage"), "path") {
		return s
	}
	if home := r.home(); home != "" {
		s.Path = filepath.Join(home, ".mcpo")
	} else if slices.ContainsFunc(servers, func(s Server) bool { return s.OAuth != nil && s.OAuth.StorageType == "file" }) {
		r.problem(v, "storage.path", `write "storage": {"path": "/a/folder"}, or set HOME`, "there is no home folder to keep grants in")
	}
	return s
}

func (r *reader) storageBlock(v hujson.Value, path string) (s Storage) {
	members, ok := r.object(v, path)
	if !ok {
		return s
	}
	for _, m := range members {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "path":
			s.Path = r.folder(m.Value, at)
		case key == "encryption_key":
			s.EncryptionKeys = r.encryptionKeys(m.Value, at)
		default:
			r.unknown(m, path, []string{"path", "encryption_key"})
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
