// Package internal_test holds what is true of the tree as a whole: who may
// import whom, and a few habits that a reader may rely on everywhere.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of the module, and the prefix of all its packages.
const module = "mcpo"

// mayImport is the import rule of ARCHITECTURE.md: for every package, those of
// ours that its code, tests excepted, may import. Imports point downward only.
func mayImport() map[string][]string {
	leaf := []string{}
	return map[string][]string{
		"cmd/mcpo":               {"internal/app", "internal/config"},
		"internal/app":           {"internal/httpapi", "internal/audit", "internal/metrics", "internal/chat", "internal/limit", "internal/upstream", "internal/oauth", "internal/store", "internal/tracing", "internal/wire", "internal/config", "internal/caller"},
		"internal/httpapi":       {"internal/httpapi/pages", "internal/audit", "internal/metrics", "internal/chat", "internal/limit", "internal/openapi", "internal/upstream", "internal/oauth", "internal/tracing", "internal/wire", "internal/config", "internal/caller"},
		"internal/httpapi/pages": leaf,
		"internal/upstream":      {"internal/tracing", "internal/wire", "internal/config", "internal/caller"},
		"internal/oauth":         {"internal/store", "internal/tracing", "internal/config", "internal/caller"},
		"internal/audit":         leaf,
		"internal/metrics":       leaf,
		"internal/chat":          leaf,
		"internal/openapi":       leaf,
		"internal/wire":          leaf,
		"internal/config":        leaf,
		"internal/limit":         leaf,
		"internal/store":         {"internal/caller"},
		"internal/caller":        leaf,
		"internal/tracing":       leaf,
	}
}

// outside are folders whose packages stand outside the house: they may import
// what they want, and no room imports them.
func outside() []string {
	return []string{"examples", "bench", "packaging", "internal/mcptest", "internal/oauthtest", "internal/storetest", "internal/pgtest", "internal/tracetest", "internal/e2e"}
}

func isOutside(pkg string) bool {
	return slices.ContainsFunc(outside(), func(folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") })
}

func TestImportsPointDownward(t *testing.T) {
	rules := mayImport()
	for _, f := range sources(t, parser.ImportsOnly) {
		if isOutside(f.pkg) {
			continue
		}
		allowed, known := rules[f.pkg]
		if !known {
			t.Errorf("%s: the package %s has no place in mayImport; give it one, and one in ARCHITECTURE.md", f.path, f.pkg)
			continue
		}
		for _, spec := range f.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which does not lie below it", f.path, ours)
			}
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	explained := map[string]bool{}
	for _, f := range sources(t, parser.ParseComments) {
		explained[f.pkg] = explained[f.pkg] || f.syntax.Doc != nil
		for _, decl := range f.syntax.Decls {
			for _, name := range unexplained(decl) {
				t.Errorf("%s has no comment", f.position(name))
			}
		}
	}
	for pkg, ok := range explained {
		if !ok {
			t.Errorf("the package %s has no comment", pkg)
		}
	}
}

// unexplained lists the exported names that decl declares without a comment. A
// comment on a group of constants or variables explains all of them.
func unexplained(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && isReachable(d) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil && s.Name.IsExported() {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				if d.Doc != nil || s.Doc != nil || s.Comment != nil {
					continue
				}
				for _, name := range s.Names {
					if name.IsExported() {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// isReachable tells whether d is no method of a type that only its package sees.
func isReachable(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	switch generic := receiver.(type) {
	case *ast.IndexExpr:
		receiver = generic.X
	case *ast.IndexListExpr:
		receiver = generic.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}

// TestHabits holds that nothing happens behind a reader's back before main, that
// no input ends the process, and that what is there is finished.
func TestHabits(t *testing.T) {
	unfinished := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	for _, f := range sources(t, parser.ParseComments) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: no init", f.position(n))
				}
			case *ast.CallExpr:
				if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "panic" {
					t.Errorf("%s: no panic", f.position(n))
				}
			}
			return true
		})
		for _, group := range f.syntax.Comments {
			if mark := unfinished.FindString(group.Text()); mark != "" {
				t.Errorf("%s: no %s", f.position(group), mark)
			}
		}
	}
}

// source is one file of code, tests excepted.
type source struct {
	path   string // from the root of the module, with slashes
	pkg    string // its folder
	syntax *ast.File
	fset   *token.FileSet
}

func (s source) position(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// sources parses all code of the module, whatever system it is for.
func sources(t *testing.T, mode parser.Mode) []source {
	t.Helper()
	root := os.DirFS("..")
	var found []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, filepath.Join("..", filepath.FromSlash(name)), nil, mode)
		if err != nil {
			return err
		}
		found = append(found, source{name, path.Dir(name), syntax, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no code was found")
	}
	return found
}
