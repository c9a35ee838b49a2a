package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake or oddity of a configuration file.
type Problem struct {
	File string
	Line int // 1-based; 0 when the problem is the file itself
	// Path is the place in the JSON, for example mcpServers.github.url.
	Path, Message, Hint string
}

// Error is the problem in one line: file:line: path: message (hint).
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems are all mistakes of a file, in its order.
type Problems []Problem

// Error has one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// meant guesses the known key behind an unknown one: what other programs call
// it, or else the one spelled nearest. It is "" when there is no guess.
func meant(word string, known []string) string {
	var guess string
	switch strings.ToLower(word) {
	case "transport", "transporttype", "transport_type":
		guess = "type"
	case "cmd", "program":
		guess = "command"
	case "endpoint", "serverurl", "httpurl", "baseurl", "base_url":
		guess = "url"
	}
	if slices.Contains(known, guess) {
		return guess
	}
	return nearest(word, known)
}

// nearest is the known word that differs from word in the fewest letters, or
// "" if none is near.
func nearest(word string, known []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := EditDistance(strings.ToLower(word), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// EditDistance is the number of bytes to insert, delete or replace to make b of
// a (Levenshtein). Its time is the product of their lengths.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
