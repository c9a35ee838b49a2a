package app

import (
	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/httpapi"
	"mcpo/internal/limit"
)

// protect gives a server the limits of its configuration. What was counted so far
// goes on to count, unless they have changed.
func (a *app) protect(s *httpapi.Served, c config.Server) {
	rules := limit.Rules{PerSecond: c.Limits.CallsPerSecond, Burst: c.Limits.Burst, Concurrent: c.Limits.Concurrent,
		Queue: c.Limits.Queue, QueueTime: c.Limits.QueueTime}
	if s.Limiter.Rules() != rules {
		s.Limiter = limit.New[caller.ID](rules)
	}
	breaks := limit.BreakerRules(c.CircuitBreaker)
	if s.Breaker.Rules() != breaks {
		s.Breaker = limit.NewBreaker(breaks, a.brokeAt(c))
	}
}

// brokeAt tells the log when a server is no more asked for a caller, and when it
// is again.
func (a *app) brokeAt(c config.Server) func(caller.ID, bool) {
	log := a.opts.Log.With("server", c.Name)
	return func(who caller.ID, open bool) {
		if open {
			log.Warn("the caller's calls only fail; for a while they are refused at once", "caller", who.String(),
				"failures", c.CircuitBreaker.Failures, "for", c.CircuitBreaker.Rest.String())
			return
		}
		log.Info("the server answers the caller again", "caller", who.String())
	}
}
