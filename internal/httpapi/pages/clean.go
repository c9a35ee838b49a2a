package pages

import (
	"strings"
	"unicode"
)

// Lengths in characters beyond which texts are cut.
const (
	maxName = 100
	maxText = 600
	// maxMarks is how many marks may sit on one letter: more would paint over
	// the lines above.
	maxMarks = 4
)

// clean makes a text from elsewhere safe to read: without control characters and
// without those that reorder or hide its letters, on one line, and cut.
func clean(s string, most int) string {
	if len(s) > 8*most { // enough bytes for all that will be shown
		s = s[:8*most]
	}
	marks := 0
	s = strings.Map(func(c rune) rune {
		if !unicode.IsMark(c) {
			marks = 0
		} else if marks++; marks > maxMarks {
			return -1
		}
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsGraphic(c):
			return -1
		}
		return c
	}, s)
	letters := []rune(strings.Join(strings.Fields(s), " "))
	if len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return string(letters)
}
