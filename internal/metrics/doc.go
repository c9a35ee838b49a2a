// Package metrics counts what mcpo does, for Prometheus.
//
//	a call ── Begin ──▶ Call ── End ──▶ the counters of its server
//	logins, refreshes, the store, reloads ──▶ counters
//	a scrape ──▶ the counters, and the state of each server at that moment
//
// A nil *[Metrics] counts nothing, so that nobody who counts has to ask whether
// metrics are on.
//
// What is counted never tells who called, or with what. Labels are the names of
// servers in the configuration, names of tools that the servers themselves list,
// so many of each server, and words of this package's own: whoever calls cannot
// make a series.
package metrics
