package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLimits(t *testing.T) {
	all := Limits{CallsPerSecond: 5, Burst: 10, Concurrent: 4, Queue: 20, QueueTime: 5 * time.Second}
	but := func(change func(*Limits)) Limits {
		l := all
		change(&l)
		return l
	}
	const whole = `,"limits":{"calls_per_second":5,"burst":10,"concurrent":4,"queue_seconds":5,"queue":20}`
	for _, c := range []struct {
		server, file string
		want         Limits
	}{
		{"", "", Limits{}},
		{`,"limits":null`, `,"limits":null`, Limits{}},
		{`,"limits":false`, "", Limits{}},
		{whole, "", all},
		{"", whole, all},
		{`,"limits":null`, whole, all},
		{`,"limits":false`, whole, Limits{}},
		{whole, `,"limits":false`, all},
		{`,"limits":{"burst":1,"concurrent":null}`, whole, but(func(l *Limits) { l.Burst = 1 })},
		{`,"limits":{"calls_per_second":0.5,"queue":0,"burst":"${PORT}"}`, whole, but(func(l *Limits) { l.CallsPerSecond, l.Queue, l.Burst = 0.5, 0, 4040 })},
		{`,"limits":{"calls_per_second":2.5}`, "", Limits{CallsPerSecond: 2.5, Burst: 3, Queue: 20, QueueTime: 5 * time.Second}},
		{`,"limits":{"calls_per_second":50}`, `,"limits":{"calls_per_second":5}`, Limits{CallsPerSecond: 50, Burst: 50, Queue: 20, QueueTime: 5 * time.Second}},
		{`,"limits":{"concurrent":"7","queue_seconds":0.5}`, "", Limits{Concurrent: 7, Queue: 20, QueueTime: time.Second / 2}},
	} {
		text := `{"mcpServers":{"a":{"url":"http://h/"` + c.server + `}}` + c.file + `}`
		cfg, err := parse("f", []byte(text), testEnv, testRead)
		if err != nil || len(cfg.Warnings) > 0 {
			t.Errorf("%s: %v, %v", text, err, cfg)
			continue
		}
		if diff := cmp.Diff(c.want, cfg.Servers[0].Limits); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestCircuitBreaker(t *testing.T) {
	for _, c := range []struct {
		server, file string
		want         CircuitBreaker
	}{
		{"", "", CircuitBreaker{}},
		{`,"circuit_breaker":{"failures":2,"seconds":0.5}`, "", CircuitBreaker{2, time.Second / 2}},
		{`,"circuit_breaker":{}`, "", CircuitBreaker{5, 10 * time.Second}},
		{`,"circuit_breaker":{"failures":3}`, `,"circuit_breaker":{"seconds":60}`, CircuitBreaker{3, time.Minute}},
		{`,"circuit_breaker":null`, `,"circuit_breaker":{"seconds":60}`, CircuitBreaker{5, time.Minute}},
		{`,"circuit_breaker":false`, `,"circuit_breaker":{"seconds":60}`, CircuitBreaker{}},
	} {
		text := `{"mcpServers":{"a":{"url":"http://h/"` + c.server + `}}` + c.file + `}`
		cfg, err := parse("f", []byte(text), testEnv, testRead)
		if err != nil || len(cfg.Warnings) > 0 {
			t.Errorf("%s: %v, %v", text, err, cfg)
			continue
		}
		if diff := cmp.Diff(c.want, cfg.Servers[0].CircuitBreaker); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestLimitsProblems(t *testing.T) {
	for block, want := range map[string]string{
		`"limits":{}`:                                       "limits: this limits nothing (write ",
		`"limits":{"queue":3}`:                              "limits: this limits nothing (write ",
		`"limits":{"concurrent":3,"burst":3}`:               `limits: a burst says nothing without a number of calls in a second (write "calls_per_second" too)`,
		`"limits":[]`:                                       "limits: this must be an object, not a list",
		`"limits":true`:                                     "limits: this must be an object, not true or false",
		`"limits":{"calls_per_second":0}`:                   "limits.calls_per_second: this must be a number from 0.00001 to 1000000 (write how many, such as 5 or 0.5)",
		`"limits":{"calls_per_second":"NaN"}`:               "limits.calls_per_second: this must be a number",
		`"limits":{"calls_per_second":1e300}`:               "limits.calls_per_second: this must be a number",
		`"limits":{"calls_per_second":1,"burst":0}`:         "limits.burst: this must be a whole number from 1 to 1000000",
		`"limits":{"concurrent":1.5}`:                       "limits.concurrent: this must be a whole number from 1",
		`"limits":{"concurrent":-1}`:                        "limits.concurrent: this must be a whole number from 1",
		`"limits":{"concurrent":{}}`:                        "limits.concurrent: this must be a whole number from 1",
		`"limits":{"concurrent":1,"queue":20000}`:           "limits.queue: this must be a whole number from 0 to 10000",
		`"limits":{"concurrent":1,"queue_seconds":0}`:       "limits.queue_seconds: this must be a number from 0.001 to 3600 (write seconds, such as 5 or 0.5)",
		`"limits":{"concurrent":1,"queue_seconds":86400}`:   "limits.queue_seconds: this must be a number",
		`"circuit_breaker":7`:                               "circuit_breaker: this must be an object, not a number",
		`"circuit_breaker":{"failures":0}`:                  "circuit_breaker.failures: this must be a whole number from 1",
		`"circuit_breaker":{"seconds":"soon"}`:              "circuit_breaker.seconds: this must be a number",
		`"circuit_breaker":{"failures":1,"failures":2}`:     "circuit_breaker.failures: this name appears twice",
		`"limits":{"concurrent":1,"rate":5}`:                "warning limits.rate: this key is unknown and has no effect (known are calls_per_second, ",
		`"limits":{"concurrent":1,"calls_per_seconds":5}`:   "warning limits.calls_per_seconds: this key is unknown and has no effect (did you mean calls_per_second?)",
		`"circuit_breaker":{"failure":5}`:                   "warning circuit_breaker.failure: this key is unknown and has no effect (did you mean failures?)",
		`"circuitbreaker":{"failures":5}`:                   "warning circuitbreaker: this key is unknown and has no effect (did you mean circuit_breaker?)",
		`"limit":{"calls_per_second":5}`:                    "warning limit: this key is unknown and has no effect (did you mean limits?)",
		`"limits":{"calls_per_second":"${NO_SUCH_THING}"}`:  `limits.calls_per_second: the environment variable "NO_SUCH_THING" is not set`,
		`"limits":{"calls_per_second":5,"queue_seconds":1}`: "",
	} {
		for text, path := range map[string]string{
			`{"mcpServers":{"a":{"url":"http://h/",` + block + `}}}`: "mcpServers.a.",
			`{"mcpServers":{"a":{"url":"http://h/"}},` + block + `}`: "",
		} {
			cfg, err := parse("f", []byte(text), testEnv, testRead)
			got, wanted := "", strings.Replace("f:1: "+path+want, "f:1: "+path+"warning ", "warning f:1: "+path, 1)
			if err != nil {
				got = err.Error()
			} else if len(cfg.Warnings) > 0 {
				got = "warning " + cfg.Warnings[0].Error()
			}
			if want == "" && got != "" || want != "" && !strings.HasPrefix(got, wanted) {
				t.Errorf("%s gives %q, want %q", text, got, wanted)
			}
		}
	}
}
