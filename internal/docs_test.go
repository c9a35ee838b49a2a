package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestSecurityPage holds the table of docs/security.md to be whole: each rule has
// its row, and each test that is named there exists.
func TestSecurityPage(t *testing.T) {
	const rules = 31
	page := read(t, "docs/security.md")
	known := tests(t)
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*\|$`).FindAllStringSubmatch(page, -1)
	if len(rows) != rules {
		t.Errorf("the table has %d rows, not %d", len(rows), rules)
	}
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d has the number %s", i+1, row[1])
		}
		named := regexp.MustCompile("`([a-z0-9]+\\.(?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(row[0], -1)
		if len(named) == 0 && !strings.Contains(row[0], "*No test yet") {
			t.Errorf("row %s names no test, and does not say so", row[1])
		}
		for _, name := range named {
			if !known[name[1]] {
				t.Errorf("row %s names %s, which is no test", row[1], name[1])
			}
		}
	}
}

// TestLinksOfDocuments holds that what documents refer to is there.
func TestLinksOfDocuments(t *testing.T) {
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(documents, "../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../CHANGELOG.md") {
		text := read(t, name[len("../"):])
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(link[1])
			if err != nil || u.IsAbs() {
				continue
			}
			target := filepath.Join(filepath.Dir(name), filepath.FromSlash(u.Path))
			if u.Path == "" {
				target = name
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s refers to %s: %v", name, link[1], err)
				continue
			}
			if u.Fragment != "" && !info.IsDir() && !anchors(t, target)[u.Fragment] {
				t.Errorf("%s refers to %s, and there is no such heading", name, link[1])
			}
		}
	}
}

// anchors are the names that headings of a document are referred to by.
func anchors(t *testing.T, name string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, name[len("../"):]), -1) {
		plain := regexp.MustCompile(`[^a-z0-9_ -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return found
}

// read gives a file of the module.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tests are the names of all tests of the module, each behind its package.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", filepath.FromSlash(name)), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := path.Base(path.Dir(name))
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				found[pkg+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
