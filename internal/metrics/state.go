package metrics

import "github.com/prometheus/client_golang/prometheus"

// states are the descriptions of what is asked of a server at each scrape.
type states struct {
	info, connections, callers, tools, processes, reconnects *prometheus.Desc
}

func newStates(of prometheus.Labels) states {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, of)
	}
	return states{
		info:        describe("mcpo_server_info", "Always 1 for each configured server; its label tells how mcpo reaches it.", "transport"),
		connections: describe("mcpo_connections", "Connections to the server by their state.", "state"),
		callers:     describe("mcpo_callers", "Callers who have a connection of their own to the server."),
		tools:       describe("mcpo_catalogue_tools", "Tools of the server that mcpo knows."),
		processes:   describe("mcpo_child_processes", "Processes that run for the server as children of mcpo."),
		reconnects:  describe("mcpo_reconnects_total", "Connections to the server that were opened again after a loss."),
	}
}

func (d states) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.info, d.connections, d.callers, d.tools, d.processes, d.reconnects} {
		to <- one
	}
}

func (d states) collect(to chan<- prometheus.Metric, s Server) {
	now := s.State()
	gauge := func(of *prometheus.Desc, value int, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, float64(value), labels...)
	}
	gauge(d.info, 1, s.Transport)
	for state, n := range now.Connections {
		gauge(d.connections, n, state)
	}
	gauge(d.callers, now.Callers)
	gauge(d.tools, now.Tools)
	gauge(d.processes, now.Processes)
	to <- prometheus.MustNewConstMetric(d.reconnects, prometheus.CounterValue, float64(now.Reconnects))
}
