package config

import (
	"math"
	"strconv"
	"time"

	"github.com/tailscale/hujson"
)

// Limits are how much each caller may ask of a server. The zero value limits
// nothing.
type Limits struct {
	// CallsPerSecond is how many calls may begin in a second, 0 for any number,
	// and Burst how many at once after a rest.
	CallsPerSecond float64
	Burst          int
	// Concurrent is how many calls may go on at the same time, 0 for any number.
	Concurrent int
	// Queue is how many more may wait for their turn, and QueueTime how long.
	Queue     int
	QueueTime time.Duration
}

// CircuitBreaker says when a server that only fails is no more asked. The zero
// value always asks.
type CircuitBreaker struct {
	// Failures is how many calls of a caller have to fail in a row.
	Failures int
	// Rest is how long the server is not asked then.
	Rest time.Duration
}

// limits reads the limits block of v, the file or a server's entry. What it does
// not say stays as in base, the block of the file; Burst stays 0 where neither
// says it.
func (r *reader) limits(v hujson.Value, path string, base Limits) Limits {
	block, path := at(v, "limits"), join(path, "limits")
	switch {
	case !given(v, "limits"):
		return base
	case isOff(block):
		return Limits{}
	case base == Limits{}:
		base = Limits{Queue: 20, QueueTime: 5 * time.Second}
	}
	l := base
	before := len(r.problems)
	for _, m := range r.members(block, path) {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "calls_per_second":
			l.CallsPerSecond = r.between(m.Value, at, 0.00001, 1e6, "write how many, such as 5 or 0.5")
		case key == "burst":
			l.Burst = r.count(m.Value, at, 1, 1e6)
		case key == "concurrent":
			l.Concurrent = r.count(m.Value, at, 1, 1e6)
		case key == "queue":
			l.Queue = r.count(m.Value, at, 0, 10_000)
		case key == "queue_seconds":
			l.QueueTime = r.seconds(m.Value, at)
		default:
			r.unknown(m, path, []string{"calls_per_second", "burst", "concurrent", "queue", "queue_seconds"})
		}
	}
	switch {
	case len(r.problems) > before:
	case l.CallsPerSecond == 0 && l.Concurrent == 0:
		r.problem(block, path, `write "calls_per_second": 5 or "concurrent": 4, or "limits": false`, "this limits nothing")
	case l.CallsPerSecond == 0 && l.Burst > 0:
		r.problem(block, path, `write "calls_per_second" too`, "a burst says nothing without a number of calls in a second")
	}
	return l
}

// filled gives the limits with the burst that stands for none: a second's calls.
func (l Limits) filled() Limits {
	if l.Burst == 0 && l.CallsPerSecond > 0 {
		l.Burst = int(math.Ceil(l.CallsPerSecond))
	}
	return l
}

// circuitBreaker reads the block of that name of v, the file or a server's
// entry. What it does not say stays as in base, the block of the file.
func (r *reader) circuitBreaker(v hujson.Value, path string, base CircuitBreaker) CircuitBreaker {
	block, path := at(v, "circuit_breaker"), join(path, "circuit_breaker")
	switch {
	case !given(v, "circuit_breaker"):
		return base
	case isOff(block):
		return CircuitBreaker{}
	case base == CircuitBreaker{}:
		base = CircuitBreaker{Failures: 5, Rest: 10 * time.Second}
	}
	b := base
	for _, m := range r.members(block, path) {
		key := nameOf(m)
		switch at := join(path, key); {
		case isNull(m.Value): // as if it were not there
		case key == "failures":
			b.Failures = r.count(m.Value, at, 1, 1e6)
		case key == "seconds":
			b.Rest = r.seconds(m.Value, at)
		default:
			r.unknown(m, path, []string{"failures", "seconds"})
		}
	}
	return b
}

// members are those of an object; none of another value, which is reported.
func (r *reader) members(v hujson.Value, path string) []hujson.ObjectMember {
	m, _ := r.object(v, path)
	return m
}

// isOff reports whether a block is false: a server's way out of what the file
// says for all.
func isOff(v hujson.Value) bool {
	l, ok := v.Value.(hujson.Literal)
	return ok && l.Kind() == 'f'
}

// between reads a number within bounds.
func (r *reader) between(v hujson.Value, path string, least, most float64, hint string) float64 {
	n, ok := r.number(v, path)
	if !ok || !(n >= least && n <= most) {
		r.problem(v, path, hint, "this must be a number from %s to %s",
			strconv.FormatFloat(least, 'f', -1, 64), strconv.FormatFloat(most, 'f', -1, 64))
		return least
	}
	return n
}

// count reads a whole number within bounds.
func (r *reader) count(v hujson.Value, path string, least, most int) int {
	n, ok := r.number(v, path)
	if !ok || !(n >= float64(least) && n <= float64(most)) || n != math.Trunc(n) {
		r.problem(v, path, "write how many, such as 10", "this must be a whole number from %d to %d", least, most)
		return least
	}
	return int(n)
}

// seconds reads a time of at most an hour.
func (r *reader) seconds(v hujson.Value, path string) time.Duration {
	return time.Duration(r.between(v, path, 0.001, 3600, "write seconds, such as 5 or 0.5") * float64(time.Second))
}
