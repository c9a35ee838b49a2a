package metrics

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapeTime = 10 * time.Second // for one scrape
	scrapes    = 4                // at once
)

// Handler serves GET /metrics, in OpenMetrics for who asks for it, and with
// profiles the profiles of package net/http/pprof below /debug/pprof/. There is
// no more: the command line, which that package shows too, may hold a key.
func (m *Metrics) Handler(profiles bool, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes, Timeout: scrapeTime, EnableOpenMetrics: true,
	}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// scrapeLog passes on what goes wrong in a scrape.
type scrapeLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(words ...any) {
	l.log.Warn("a scrape of the metrics is not complete", "error", words)
}
