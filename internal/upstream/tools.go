package upstream

import (
	"bytes"
	"slices"

	"mcpo/internal/config"
	"mcpo/internal/wire"
)

// ToolList is what a server offered at one time, without what the
// configuration hides. It never changes; a new list is a new ToolList, so its
// address tells whether anything changed.
type ToolList struct {
	Info  wire.Info
	Tools []wire.Tool

	byName map[string]int
	bytes  int // of all tools
}

// newToolList leaves hidden tools out. Of two tools with one name the first
// counts.
func newToolList(cfg config.Server, info wire.Info, all []wire.Tool) *ToolList {
	l := &ToolList{Info: info, byName: make(map[string]int, len(all))}
	for _, t := range all {
		hidden := slices.Contains(cfg.DisabledTools, t.Name) ||
			cfg.EnabledTools != nil && !slices.Contains(cfg.EnabledTools, t.Name)
		if _, twice := l.byName[t.Name]; hidden || twice {
			continue
		}
		l.byName[t.Name] = len(l.Tools)
		l.bytes += len(t.Raw)
		l.Tools = append(l.Tools, t)
	}
	return l
}

// find looks a tool up by its exact name.
func (l *ToolList) find(name string) (wire.Tool, bool) {
	if l == nil {
		return wire.Tool{}, false
	}
	i, ok := l.byName[name]
	if !ok {
		return wire.Tool{}, false
	}
	return l.Tools[i], true
}

// same reports whether two lists say the same, byte for byte.
func (l *ToolList) same(o *ToolList) bool {
	return l != nil && o != nil && l.Info == o.Info &&
		slices.EqualFunc(l.Tools, o.Tools, func(a, b wire.Tool) bool { return bytes.Equal(a.Raw, b.Raw) })
}
