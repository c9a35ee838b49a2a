package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDotenv(t *testing.T) {
	env := func(name string) (string, bool) { return "home", name == "HOME" }
	const text = "\ufeff# a comment\r\n" + `
A=1
export B = two words   # a comment
C=a#b
D='single $HOME ${HOME} \' "quoted"'
E="double \"quoted\"\tand ${HOME}" # a comment
F="several
lines"
G=${A}${MISSING:-fallback}${MISSING}
H=
I=#nothing
J="#something"
lone
K=open ${brace
L=https://h/?a=b
EMPTY=''
`
	got, err := parseDotenv(text, env)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"A": "1", "B": "two words", "C": "a#b",
		"D": `single $HOME ${HOME} ' "quoted"`,
		"E": "double \"quoted\"\tand home", "F": "several\nlines",
		"G": "1fallback", "H": "", "I": "", "J": "#something", "K": "open ${brace",
		"L": "https://h/?a=b", "EMPTY": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestDotenvRefusals(t *testing.T) {
	for text, say := range map[string]string{
		"A=1\n=2":                  "line 2: no variable name",
		"A B=2":                    "line 1: no variable name",
		"A=1\n\nB='secret\nC=3":    "line 3: the quote that opens B",
		"A=\"1\n2\" secret\nB=3\n": "line 2: A goes on",
	} {
		_, err := parseDotenv(text, func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", text, err, say)
		}
	}
}

// FuzzDotenv holds that any file is read or refused, and that what comes out
// can be handed to a process.
func FuzzDotenv(f *testing.F) {
	f.Add("A=1\nexport B='x'\nC=\"${A:-y}\\n\"\n")
	f.Add("A='\\")
	f.Add("=\n\"\n${")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := parseDotenv(text, func(string) (string, bool) { return "", false })
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
		for name := range vars {
			if name == "" || strings.ContainsAny(name, "=\x00\n") {
				t.Errorf("variable %q", name)
			}
		}
	})
}
