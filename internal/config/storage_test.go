package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const oneServer = `"mcpServers":{"a":{"url":"http://h/","oauth":{"server_url":"auto"}}}`

func TestStorage(t *testing.T) {
	home := filepath.FromSlash("/home/me")
	for _, c := range []struct {
		block, listed string // listed is MCPO_ENCRYPTION_KEY
		path          string
		keys          int
		problem       string
	}{
		{block: `null`, path: filepath.Join(home, ".mcpo")},
		{block: `{}`, path: filepath.Join(home, ".mcpo")},
		{block: `{"path":null,"encryption_key":null}`, path: filepath.Join(home, ".mcpo")},
		{block: `{"path":"~/elsewhere"}`, path: filepath.Join(home, "elsewhere")},
		{block: `{"path":"~"}`, path: home},
		{block: `{"path":"/data"}`, path: "/data"},
		{block: `{"path":"data"}`, path: "data"},
		{block: `{"path":"~root/x"}`, problem: "f:1: storage.path: this begins with the home folder of somebody else"},
		{block: `{"path":""}`, problem: "f:1: storage.path: this is empty"},
		{block: `{"path":5}`, problem: "f:1: storage.path: this must be a string"},
		{block: `[]`, problem: "f:1: storage: this must be an object"},
		{block: `{"path":"/d","encryption_key":"${KEY}"}`, path: "/d", keys: 1},
		{block: `{"path":"/d","encryption_key":["${KEY}","fedcba9876543210"]}`, listed: "an environment is not asked", path: "/d", keys: 2},
		{block: `{"path":"/d"}`, listed: " 0123456789abcdef, fedcba9876543210,", path: "/d", keys: 2},
		{block: `{"path":"/d","encryption_key":"${EMPTY}"}`, listed: "0123456789abcdef", path: "/d", keys: 1},
		{block: `{"path":"/d","encryption_key":"hunter2"}`, problem: "f:1: storage.encryption_key: this holds a key of fewer than 16 bytes"},
		{block: `{"path":"/d"}`, listed: "hunter2", problem: "f:1: storage.encryption_key: the environment variable MCPO_ENCRYPTION_KEY holds a key of fewer"},
		{block: `{"path":"/d","encryption_key":{"a":"hunter2"}}`, problem: "f:1: storage.encryption_key: this must be a string"},
	} {
		env := func(name string) (string, bool) {
			if name == "MCPO_ENCRYPTION_KEY" {
				return c.listed, c.listed != ""
			}
			return testEnv(name)
		}
		cfg, err := parse("f", fmt.Appendf(nil, `{%s,"storage":%s}`, oneServer, c.block), env, testRead)
		switch {
		case c.problem != "":
			if err == nil || !strings.HasPrefix(err.Error(), c.problem) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s gives %v, want %q", c.block, err, c.problem)
			}
		case err != nil:
			t.Errorf("%s: %v", c.block, err)
		case cfg.Storage.Path != c.path || len(cfg.Storage.EncryptionKeys) != c.keys:
			t.Errorf("%s is read as %+v", c.block, cfg.Storage)
		case c.keys > 0 && cfg.Storage.EncryptionKeys[0].Reveal() != "0123456789abcdef":
			t.Errorf("%s: the first key is not the first", c.block)
		}
	}
}

func TestStorageInADatabase(t *testing.T) {
	const dsn, key = `"dsn":"${URL}"`, `"encryption_key":"${KEY}"`
	for _, c := range []struct {
		block, kind, dsn, problem string
	}{
		{block: `{}`, kind: "file"},
		{block: `{"type":"file"}`, kind: "file"},
		{block: `{"type":"postgres",` + dsn + `,` + key + `}`, kind: "postgres", dsn: "postgres://me:hunter2@db/mcpo"},
		{block: `{"type":"file",` + dsn + `}`, kind: "file", dsn: "postgres://me:hunter2@db/mcpo"},
		{block: `{"dsn":"${EMPTY}"}`, kind: "file"},
		{block: `{"type":"redis"}`, problem: `f:1: storage.type: this value is unknown`},
		{block: `{` + dsn + `,` + key + `}`, problem: "f:1: storage.dsn: it does not say whether this database is in use"},
		{block: `{"type":"postgres",` + key + `}`, problem: "f:1: storage.dsn: there is no database to keep grants in"},
		{block: `{"type":"postgres","dsn":"${EMPTY}",` + key + `}`, problem: "f:1: storage.dsn: there is no database to keep grants in"},
		{block: `{"type":"postgres",` + dsn + `}`, problem: "f:1: storage.encryption_key: grants in a database need an encryption key"},
		{block: `{"type":"postgres","dsn":5,` + key + `}`, problem: "f:1: storage.dsn: this must be a string"},
	} {
		env := func(name string) (string, bool) {
			if name == "URL" {
				return "postgres://me:hunter2@db/mcpo", true
			}
			return testEnv(name)
		}
		cfg, err := parse("f", fmt.Appendf(nil, `{%s,"storage":%s}`, oneServer, c.block), env, testRead)
		switch {
		case c.problem != "":
			if err == nil || !strings.HasPrefix(err.Error(), c.problem) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s gives %v, want %q", c.block, err, c.problem)
			}
		case err != nil:
			t.Errorf("%s: %v", c.block, err)
		case cfg.Storage.Type != c.kind || cfg.Storage.DSN.Reveal() != c.dsn:
			t.Errorf("%s is read as %+v", c.block, cfg.Storage)
		case strings.Contains(fmt.Sprintf("%+v", cfg.Storage), "hunter2"):
			t.Errorf("%s shows its password", c.block)
		}
	}
}

// TestStorageWithoutAHome: a container may have no home folder, which matters
// to those alone who need one.
func TestStorageWithoutAHome(t *testing.T) {
	env := func(string) (string, bool) { return "", false }
	for file, want := range map[string]string{
		`{` + oneServer + `}`:                          "f:1: storage.path: there is no home folder to keep grants in (write ",
		`{` + oneServer + `,"storage":{"path":"~/x"}}`: "f:1: storage.path: there is no home folder for ~ to stand for",
		`{` + oneServer + `,"storage":{"path":"/d"}}`:  "",
		`{"mcpServers":{"a":{"command":"x"}}}`:         "",
		`{` + oneServer + `,"storage":{"type":"postgres","dsn":"x","encryption_key":"0123456789abcdef"}}`:           "",
		strings.Replace(`{`+oneServer+`}`, `"server_url":"auto"`, `"server_url":"auto","storage_type":"memory"`, 1): "",
	} {
		_, err := parse("f", []byte(file), env, testRead)
		if (err == nil) != (want == "") || err != nil && (!strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s gives %v, want %q", file, err, want)
		}
	}
}

func TestStorageWarnsOfUnknownKeys(t *testing.T) {
	cfg, err := parse("f", []byte(`{`+oneServer+`,"storage":{"folder":"/d"}}`), testEnv, testRead)
	if err != nil || len(cfg.Warnings) != 1 || cfg.Warnings[0].Path != "storage.folder" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestStorageWarnsOfMemory where there is a database to share.
func TestStorageWarnsOfMemory(t *testing.T) {
	servers := strings.Replace(oneServer, `"server_url":"auto"`, `"server_url":"auto","storage_type":"memory"`, 1)
	for storage, want := range map[string]string{
		`{"path":"/d"}`: "",
		`{"type":"postgres","dsn":"x","encryption_key":"0123456789abcdef"}`: "mcpServers.a.oauth.storage_type",
	} {
		cfg, err := parse("f", []byte(`{`+servers+`,"storage":`+storage+`}`), testEnv, testRead)
		if err != nil || len(cfg.Warnings) != min(len(want), 1) || want != "" && cfg.Warnings[0].Path != want {
			t.Errorf("%s: %+v, %v", storage, cfg, err)
		}
	}
}
