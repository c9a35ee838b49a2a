package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/net/http/httpguts"

	"mcpo/internal/config"
)

// checked is the value of a flag whose text is parsed, and refused, as it is
// set. The errors of parse say what to write, and never repeat the text: it may
// be a secret.
type checked[T any] struct {
	target *T
	kind   string
	parse  func(string) (T, error)
	text   string
}

// value makes target, which is set to fallback, the value of a flag. kind is
// the word that stands for it in the help.
func value[T any](target *T, kind string, fallback T, parse func(string) (T, error)) *checked[T] {
	*target = fallback
	return &checked[T]{target: target, kind: kind, parse: parse, text: defaultText(fallback)}
}

// text is the value of a flag that takes anything.
func text(target *string, kind, fallback string) *checked[string] {
	return value(target, kind, fallback, func(s string) (string, error) { return s, nil })
}

// Set implements pflag.Value.
func (c *checked[T]) Set(text string) error {
	v, err := c.parse(text)
	if err != nil {
		return err
	}
	*c.target, c.text = v, text
	return nil
}

// String implements pflag.Value; it is the text that was set.
func (c *checked[T]) String() string { return c.text }

// Type implements pflag.Value.
func (c *checked[T]) Type() string { return c.kind }

// defaultText writes a default the way a person would.
func defaultText(v any) string {
	switch v := v.(type) {
	case map[string]string, bool:
		return ""
	case time.Duration:
		if v != 0 && v%time.Minute == 0 {
			return fmt.Sprintf("%dm", v/time.Minute)
		}
		return v.String()
	case int64:
		return fmt.Sprintf("%dMiB", v>>20)
	default:
		return fmt.Sprint(v)
	}
}

// addSwitch adds a flag that is true when it stands alone.
func addSwitch(f *pflag.FlagSet, target *bool, name, usage string) {
	f.Var(value(target, "bool", false, parseBool), name, usage)
	f.Lookup(name).NoOptDefVal = "true"
}

// list is a flag of texts that may be repeated or hold commas. The first time
// it is set replaces what it held before.
type list struct {
	values *[]string
	kind   string
	set    bool
}

// Set implements pflag.Value.
func (l *list) Set(text string) error {
	if !l.set {
		*l.values, l.set = nil, true
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l.values = append(*l.values, part)
		}
	}
	return nil
}

// String implements pflag.Value.
func (l *list) String() string {
	if l.values == nil {
		return ""
	}
	return strings.Join(*l.values, ",")
}

// Type implements pflag.Value.
func (l *list) Type() string { return l.kind }

// pairs is a flag of KEY=VALUE that may be repeated; the last one of a key wins.
type pairs struct{ target *map[string]string }

// Set implements pflag.Value.
func (p *pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" || strings.ContainsRune(text, 0) {
		return errors.New("write KEY=VALUE")
	}
	if *p.target == nil {
		*p.target = map[string]string{}
	}
	(*p.target)[key] = value
	return nil
}

// String implements pflag.Value. It is always empty: values may be secrets.
func (p *pairs) String() string { return "" }

// Type implements pflag.Value.
func (p *pairs) Type() string { return "KEY=VALUE" }

func parseBool(text string) (bool, error) {
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, errors.New("write true or false")
	}
	return b, nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("write a number from 0 to 65535")
	}
	return int(n), nil
}

// parseMetricsAddr reads an address to listen on. A port alone is one of this
// machine only.
func parseMetricsAddr(text string) (string, error) {
	if _, err := parsePort(text); err == nil {
		return net.JoinHostPort("127.0.0.1", text), nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = parsePort(port)
	}
	if err != nil {
		return "", errors.New("write HOST:PORT, such as 127.0.0.1:9090")
	}
	return text, nil
}

func parseTransport(text string) (config.Transport, error) {
	t, ok := config.ParseTransport(text)
	if !ok {
		return "", errors.New("write stdio, sse or streamable-http")
	}
	return t, nil
}

// parseDuration reads seconds, as a plain number, or a Go duration.
func parseDuration(text string) (time.Duration, error) {
	wrong := errors.New("write a time such as 90, 90s or 5m")
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if !(n >= 0 && n <= math.MaxInt64/float64(time.Second)/2) {
			return 0, wrong
		}
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, wrong
	}
	return d, nil
}

func parsePositiveDuration(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && d == 0 {
		err = errors.New("write a time longer than 0, such as 5m")
	}
	return d, err
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, errors.New("write a number from 1 up, such as 10000")
	}
	return int(n), nil
}

func parseUser(text string) (string, error) {
	if text == "" {
		return "", errors.New("write the id of an account, which mcpo tokens shows")
	}
	return text, nil
}

// parseSize reads a number of bytes with an optional unit: KiB, MiB and GiB
// are powers of 1024, kB, MB and GB powers of 1000.
func parseSize(text string) (int64, error) {
	wrong := errors.New("write a size such as 4194304, 4MiB or 4MB")
	number := strings.TrimRight(text, "KkMmGgiBb ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 {
		return 0, wrong
	}
	unit := int64(1)
	switch strings.ToLower(strings.TrimSpace(text[len(number):])) {
	case "", "b":
	case "kib":
		unit = 1 << 10
	case "mib":
		unit = 1 << 20
	case "gib":
		unit = 1 << 30
	case "kb":
		unit = 1e3
	case "mb":
		unit = 1e6
	case "gb":
		unit = 1e9
	default:
		return 0, wrong
	}
	if n > math.MaxInt64/unit {
		return 0, wrong
	}
	return n * unit, nil
}

// parseHeaders reads a JSON object of header names (RFC 9110, 5.1) and values.
func parseHeaders(text string) (map[string]string, error) {
	var headers map[string]string
	if err := json.Unmarshal([]byte(text), &headers); err != nil || headers == nil {
		return nil, errors.New(`write a JSON object of strings, such as '{"X-Name": "value"}'`)
	}
	for name, v := range headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
			return nil, fmt.Errorf("%q is not a header that HTTP can carry; write names of letters, digits and -, and values of one line", name)
		}
	}
	return headers, nil
}

// parsePublicURL reads an absolute URL and takes a slash from its end.
func parsePublicURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || !isWeb(u) || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("write a URL such as https://tools.example.com")
	}
	return strings.TrimRight(text, "/"), nil
}

// isWeb tells whether u is an absolute URL that HTTP can reach.
func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
