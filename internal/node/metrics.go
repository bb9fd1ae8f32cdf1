package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
)

// collectors are the broker's metrics. Each is read when it is asked for; counting costs the hot path no more than
// a sharded addition.
func collectors(n *Node) []prometheus.Collector {
	m := n.server.Metrics()
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chronik_" + name, Help: help}, value)
	}
	counter := func(name, help string, c *server.Counter) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "chronik_" + name, Help: help}, func() float64 { return float64(c.Load()) })
	}
	return []prometheus.Collector{
		gauge("connections", "Open client connections.", func() float64 { return float64(m.ConnectionsOpen.Load()) }),
		gauge("requests_in_flight", "Requests received whose reply is not written yet.", func() float64 { return float64(m.InFlight.Load()) }),
		gauge("partitions", "Partitions held by this broker.", func() float64 { return float64(n.replicas.Len()) }),
		gauge("open_log_files", "Log files open now.", func() float64 { return float64(n.openFiles()) }),
		gauge("data_directories_offline", "Data directories that cannot be used; their partitions are offline.", func() float64 { return float64(n.offlineDirs()) }),
		gauge("metadata_index", "Index of the newest applied metadata entry.", func() float64 { return float64(n.quorum.Images().Load().Index()) }),
		gauge("coordinated_partitions", "Partitions of coordinators' topics that this broker coordinates by.", func() float64 { return float64(n.groups.Stats().Coordinated) }),
		gauge("coordinated_partitions_loading", "Those of them that are still to be loaded; what belongs to them waits.", func() float64 { return float64(n.groups.Stats().Loading) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "chronik_coordinator_loads_total", Help: "Loads of coordinators' partitions."},
			func() float64 { return float64(n.groups.Stats().Loads) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "chronik_coordinator_load_seconds_total", Help: "Time that these loads took."},
			func() float64 { return n.groups.Stats().LoadTime.Seconds() }),
		gauge("share_sessions", "Members of share groups that fetch from this broker.", func() float64 { return float64(n.sharing.Stats().Sessions) }),
		gauge("share_partitions", "Partitions led by this broker that share groups read, once for each group.", func() float64 { return float64(n.sharing.Stats().Partitions) }),
		gauge("share_records_bytes", "Memory of records on their way to members of share groups.", func() float64 { return float64(n.sharing.Stats().Bytes) }),
		counter("connections_opened_total", "Client connections accepted.", &m.ConnectionsOpened),
		counter("connections_failed_total", "Connections closed because of what the client sent.", &m.ConnectionsFailed),
		counter("received_bytes_total", "Bytes read from clients.", &m.BytesIn),
		counter("sent_bytes_total", "Bytes written to clients.", &m.BytesOut),
		counter("handler_panics_total", "Requests whose handler panicked. Any is a defect.", &m.Panics),
		requestCollector{m},
		coordinatorCollector{n.groups, n.txns},
	}
}

// requestCollector counts requests and the time that they took, by API.
type requestCollector struct{ m *server.Metrics }

var (
	requestsDesc = prometheus.NewDesc("chronik_requests_total", "Requests received.", []string{"api"}, nil)
	secondsDesc  = prometheus.NewDesc("chronik_request_seconds_total", "Time from receiving requests to writing their replies.", []string{"api"}, nil)
)

// Describe implements prometheus.Collector.
func (requestCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- requestsDesc
	ch <- secondsDesc
}

// Collect implements prometheus.Collector. APIs that nobody has asked for are left out.
func (r requestCollector) Collect(ch chan<- prometheus.Metric) {
	for key := range r.m.Requests {
		n := r.m.Requests[key].Load()
		if n == 0 {
			continue
		}
		name := kmsg.NameForKey(int16(key))
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), name)
		ch <- prometheus.MustNewConstMetric(secondsDesc, prometheus.CounterValue, float64(r.m.NanosOpen[key].Load())/1e9, name)
	}
}
