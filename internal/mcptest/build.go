package mcptest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// BuildStdio builds the program that serves [NewServer] on its standard
// streams. It is built once in a test binary. Run it with -help for the flags
// that make it misbehave.
func BuildStdio(t testing.TB) (path string) {
	t.Helper()
	return Build(t, "mcpo/internal/mcptest/cmd/mcpserver")
}

// Build builds a main package of this module, once in a test binary, and
// answers with the path of the program.
func Build(t testing.TB, pkg string) (path string) {
	t.Helper()
	path, err := builds.get(pkg)
	if err != nil {
		t.Fatalf("building %s: %v", pkg, err)
	}
	return path
}

// builds remembers what this process built already.
var builds = &buildCache{done: map[string]func() (string, error){}}

type buildCache struct {
	mu   sync.Mutex
	done map[string]func() (string, error) // by package path; guarded by mu
}

func (c *buildCache) get(pkg string) (string, error) {
	c.mu.Lock()
	once, ok := c.done[pkg]
	if !ok {
		once = sync.OnceValues(func() (string, error) { return build(pkg) })
		c.done[pkg] = once
	}
	c.mu.Unlock()
	return once()
}

// build puts the program at a place that depends on this checkout and on pkg
// only, so that runs of the tests replace it instead of piling up copies. The
// rename lets other test binaries that are running it go on.
func build(pkg string) (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	dir, err := folder(strings.TrimSpace(string(root)))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if out, err := exec.Command("go", "build", "-o", fresh, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
}

func folder(root string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "mcpo-test", fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:12])
	return dir, os.MkdirAll(dir, 0o755)
}
