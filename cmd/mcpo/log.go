package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"
)

// levelCritical is above everything that slog names; mcpo itself logs nothing
// at it, so that it silences the log.
const levelCritical = slog.LevelError + 4

// newLogger logs to w from level on, as text (logfmt) or as JSON, one line each.
// Both formats quote what could end a line, so that no value can forge one.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// nameLevel spells levels as the --log-level flag does.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	level, ok := a.Value.Any().(slog.Level)
	if a.Key != slog.LevelKey || len(groups) > 0 || !ok {
		return a
	}
	switch {
	case level >= levelCritical:
		a.Value = slog.StringValue("CRITICAL")
	case level == slog.LevelWarn:
		a.Value = slog.StringValue("WARNING")
	}
	return a
}

// levelNames lists the levels, the most talkative first.
const levelNames = "DEBUG, INFO, WARNING, ERROR or CRITICAL"

// parseLevel reads the name of a level. WARN, TRACE and FATAL are taken too:
// LOG_LEVEL is often set for many programs at once.
func parseLevel(text string) (slog.Level, error) {
	switch strings.ToUpper(text) {
	case "TRACE", "DEBUG":
		return slog.LevelDebug, nil
	case "INFO":
		return slog.LevelInfo, nil
	case "WARN", "WARNING":
		return slog.LevelWarn, nil
	case "ERROR":
		return slog.LevelError, nil
	case "FATAL", "CRITICAL":
		return levelCritical, nil
	}
	return 0, errors.New("write " + levelNames)
}

func parseLogFormat(text string) (string, error) {
	switch format := strings.ToLower(text); format {
	case "text", "json":
		return format, nil
	}
	return "", errors.New("write text or json")
}
