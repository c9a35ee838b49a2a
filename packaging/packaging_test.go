// Package packaging_test reads the configurations that the packages bring along
// as mcpo would, so that none of them stops it from starting.
package packaging_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcpo/internal/config"
)

// secrets are the variables that the packages give to mcpo.
func secrets(name string) (string, bool) {
	v, ok := map[string]string{
		"DATABASE_URL":                        "postgres://mcpo:secret@db.example.com/mcpo",
		"MCPO_ENCRYPTION_KEY":                 "0123456789abcdef0123456789abcdef",
		"FORWARD_USER_INFO_HEADER_JWT_SECRET": "0123456789abcdef0123456789abcdef",
		"HOME":                                "/data",
	}[name]
	return v, ok
}

// TestConfigurations: each one loads without a warning, and replicas share a
// database.
func TestConfigurations(t *testing.T) {
	for _, tt := range []struct{ file, key, storage string }{
		{"compose/config/config.json", "", "postgres"},
		{"helm/mcpo/values.yaml", "config", "postgres"},
		{"helm/mcpo/ci/one-values.yaml", "config", "file"},
		{"kubernetes/configmap.yaml", "config.json", "postgres"},
	} {
		data, err := os.ReadFile(filepath.FromSlash(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if tt.key != "" {
			text = block(text, tt.key)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, secrets)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if len(cfg.Warnings) > 0 || cfg.Storage.Type != tt.storage || len(cfg.Servers) != 1 {
			t.Errorf("%s: storage %q, %d servers, warnings %v", tt.file, cfg.Storage.Type, len(cfg.Servers), cfg.Warnings)
		}
	}
}

// TestFlags: what the packages start mcpo with are flags that it has.
func TestFlags(t *testing.T) {
	declared, err := os.ReadFile(filepath.FromSlash("../cmd/mcpo/flags.go"))
	if err != nil {
		t.Fatal(err)
	}
	// A line of arguments, the start of a service, a variable in place of a flag.
	line := regexp.MustCompile(`(?m)^ *(?:- --|command: \[|ExecStart=|#?MCPO_).*$`)
	flag := regexp.MustCompile(`--([a-z][a-z-]+)|^#?MCPO_([A-Z_]+)=`)
	found := 0
	for _, file := range []string{"compose/compose.yaml", "helm/mcpo/templates/deployment.yaml", "kubernetes/deployment.yaml", "systemd/mcpo.service", "systemd/mcpo.env"} {
		data, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range line.FindAllString(string(data), -1) {
			for _, m := range flag.FindAllStringSubmatch(text, -1) {
				name := m[1] + strings.ReplaceAll(strings.ToLower(m[2]), "_", "-")
				if name == "encryption-key" { // a variable that is no flag
					continue
				}
				found++
				if !strings.Contains(string(declared), `"`+name+`"`) {
					t.Errorf("%s: mcpo has no flag --%s", file, name)
				}
			}
		}
	}
	if found < 25 {
		t.Errorf("only %d flags were found: the test looks in the wrong places", found)
	}
}

// block is the text that a YAML document has behind "key: |", its indentation
// taken away; empty when there is none.
func block(yaml, key string) string {
	_, rest, _ := strings.Cut(yaml, key+": |\n")
	indent := rest[:len(rest)-len(strings.TrimLeft(rest, " "))]
	var lines []string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, indent) && strings.TrimSpace(line) != "" {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, indent))
	}
	return strings.Join(lines, "")
}
