package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestKeysAreComparedInConstantTime holds that no code compares a secret of the
// configuration with anything but "", which asks whether there is one: how long a
// comparison takes tells how much of a guess was right. What a request shows is
// hashed, as the key is, and the hashes are compared by crypto/subtle (threats 30).
func TestKeysAreComparedInConstantTime(t *testing.T) {
	all := sources(t, parser.SkipObjectResolution)
	fields := secretFields(all)
	if !fields["internal/config"]["WebUISecretKey"] || !fields["internal/httpapi"]["Key"] || !fields["internal/app"]["APIKey"] {
		t.Fatalf("the secrets are not found: %v", fields)
	}
	for _, f := range all {
		if isOutside(f.pkg) {
			continue
		}
		s := secrets{fields: fields[f.pkg], config: fields["internal/config"]}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "sameStorage" {
				continue // compares two configurations, of which no stranger has any
			}
			for _, n := range s.comparisons(decl) {
				t.Errorf("%s compares a secret", f.position(n))
			}
		}
	}
}

// TestComparisonsAreSeen holds that the test above is worth something.
func TestComparisonsAreSeen(t *testing.T) {
	for body, want := range map[string]int{
		`return o.Key.Reveal() == guess`:                                   1,
		`return guess != string(o.Key)`:                                    1,
		`if k := o.Key.Reveal(); k == guess { return true }; return false`: 1,
		`return bytes.Equal([]byte(guess), []byte(o.Key.Reveal()))`:        1,
		`switch o.Key { case guess: return true }; return false`:           1,
		`return slices.Contains(o.Keys, guess)`:                            1,
		`for _, k := range o.Keys { if k == guess { return true } }`:       1,
		`return own == guess`:                                              1,
		`return o.Key == "" || len(o.Keys) == 0 || guess == o.Name`:        0,
	} {
		syntax, err := parser.ParseFile(token.NewFileSet(), "f.go", `package p
			type options struct { Key Secret; Keys []config.Secret; Name string }
			func f(o options, own Secret, guess string) bool { `+body+` }`, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s := secrets{fields: secretFields([]source{{pkg: "p", syntax: syntax}})["p"]}
		if got := len(s.comparisons(syntax.Decls[1])); got != want {
			t.Errorf("%s has %d comparisons, want %d", body, got, want)
		}
	}
}

// TestTheKeyIsHashed holds that httpapi, which asks for the key, takes nothing of
// it but its hash, and compares that in constant time.
func TestTheKeyIsHashed(t *testing.T) {
	reveals, hashed, compared := 0, 0, 0
	for _, f := range sources(t, parser.SkipObjectResolution) {
		if f.pkg != "internal/httpapi" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name := called(call); {
			case strings.HasSuffix(name, ".Reveal"):
				reveals++
			case name == "sha256.Sum256":
				ast.Inspect(call.Args[0], func(n ast.Node) bool {
					if inner, ok := n.(*ast.CallExpr); ok && strings.HasSuffix(called(inner), ".Reveal") {
						hashed++
					}
					return true
				})
			case name == "subtle.ConstantTimeCompare" && path.Base(f.path) == "auth.go":
				for _, arg := range call.Args {
					if slice, ok := arg.(*ast.SliceExpr); ok && strings.HasSuffix(nameOf(slice.X), "hash") {
						compared++
					}
				}
			}
			return true
		})
	}
	if reveals == 0 || reveals != hashed {
		t.Errorf("a secret is revealed %d times, and hashed %d times", reveals, hashed)
	}
	if compared != 2 {
		t.Errorf("%d hashes are compared in constant time", compared)
	}
}

// secretFields are the names of what is declared as a Secret in structs, by the
// package.
func secretFields(all []source) map[string]map[string]bool {
	names := map[string]map[string]bool{}
	for _, f := range all {
		if names[f.pkg] == nil {
			names[f.pkg] = map[string]bool{}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if structure, ok := n.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						names[f.pkg][name.Name] = names[f.pkg][name.Name] || isSecretType(field.Type)
					}
				}
			}
			return true
		})
	}
	return names
}

// secrets are what is one in a function: names of fields, of its own package and
// of config, and the function's own.
type secrets struct{ fields, config, locals map[string]bool }

// comparisons are the nodes of a declaration that compare a secret.
func (s secrets) comparisons(decl ast.Decl) (found []ast.Node) {
	s.locals = map[string]bool{}
	ast.Inspect(decl, s.declared)
	ast.Inspect(decl, func(n ast.Node) bool {
		if s.compared(n) {
			found = append(found, n)
		}
		return true
	})
	return found
}

// declared collects a function's own.
func (s secrets) declared(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Field:
		for _, name := range n.Names {
			s.locals[name.Name] = s.locals[name.Name] || isSecretType(n.Type)
		}
	case *ast.ValueSpec:
		for _, name := range n.Names {
			s.locals[name.Name] = s.locals[name.Name] || isSecretType(n.Type)
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if name, ok := to.(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) && s.has(n.Rhs[i]) {
				s.locals[name.Name] = true
			}
		}
	case *ast.RangeStmt:
		if name, ok := n.Value.(*ast.Ident); ok && s.has(n.X) {
			s.locals[name.Name] = true
		}
	}
	return true
}

// compared reports whether a node compares a secret.
func (s secrets) compared(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		compares := n.Op == token.EQL || n.Op == token.NEQ || n.Op == token.LSS || n.Op == token.GTR
		return compares && (s.has(n.X) && !isNothing(n.Y) || s.has(n.Y) && !isNothing(n.X))
	case *ast.SwitchStmt:
		return n.Tag != nil && s.has(n.Tag)
	case *ast.CallExpr:
		return compares(n) && slices.ContainsFunc(n.Args, s.has)
	}
	return false
}

// has reports whether an expression is a secret.
func (s secrets) has(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return s.has(e.X)
	case *ast.IndexExpr:
		return s.has(e.X)
	case *ast.CallExpr:
		conversion := len(e.Args) == 1 && (called(e) == "string" || isBytes(e.Fun))
		return strings.HasSuffix(called(e), ".Reveal") || conversion && s.has(e.Args[0])
	case *ast.Ident:
		return s.locals[e.Name]
	case *ast.SelectorExpr:
		return s.fields[e.Sel.Name] || s.config[e.Sel.Name]
	}
	return false
}

func isSecretType(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ArrayType:
		return isSecretType(e.Elt)
	case *ast.Ident:
		return e.Name == "Secret"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Secret"
	}
	return false
}

func isBytes(e ast.Expr) bool {
	array, ok := e.(*ast.ArrayType)
	return ok && array.Len == nil && nameOf(array.Elt) == "byte"
}

// isNothing reports whether an expression is "", nil or a number, such as a length.
func isNothing(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && (literal.Value == `""` || literal.Kind == token.INT) || nameOf(e) == "nil"
}

// compares reports whether a call compares, and takes longer the more is alike.
func compares(call *ast.CallExpr) bool {
	switch called(call) {
	case "bytes.Equal", "bytes.Compare", "bytes.EqualFold", "bytes.HasPrefix", "strings.EqualFold", "strings.Compare", "strings.HasPrefix",
		"strings.HasSuffix", "strings.Contains", "slices.Equal", "slices.Contains", "slices.Index", "cmp.Compare", "reflect.DeepEqual":
		return true
	}
	return false
}

// called is what a call calls, as it is written.
func called(call *ast.CallExpr) string { return nameOf(call.Fun) }

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	}
	return ""
}
