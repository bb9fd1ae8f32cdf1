package node

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
)

// coordinatorCollector counts what this broker coordinates: groups and transactions, each on one broker of a cluster.
type coordinatorCollector struct {
	groups *runtime.Coordinator[*group.Machine]
	txns   *runtime.Coordinator[*txn.Machine]
}

var (
	groupsDesc  = prometheus.NewDesc("chronik_groups", "Groups that this broker coordinates.", []string{"type", "state"}, nil)
	membersDesc = prometheus.NewDesc("chronik_group_members", "Members of these groups.", []string{"type"}, nil)
	offsetsDesc = prometheus.NewDesc("chronik_group_offsets", "Offsets committed by these groups.", nil, nil)
	idsDesc     = prometheus.NewDesc("chronik_transactional_ids", "Transactional IDs that this broker coordinates.", []string{"state"}, nil)
	oldestDesc  = prometheus.NewDesc("chronik_oldest_transaction_seconds",
		"Age of the oldest of their transactions that is not complete. Beyond transaction.max.timeout.ms its markers cannot be written.", nil, nil)
)

// Describe implements prometheus.Collector.
func (coordinatorCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{groupsDesc, membersDesc, offsetsDesc, idsDesc, oldestDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Partitions that are still to be loaded are left out.
func (c coordinatorCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	var groups group.Census
	census(c.groups, func(m *group.Machine, _ time.Time) { m.Census(&groups) })
	for k, n := range groups.Groups {
		gauge(groupsDesc, float64(n), k.Type, k.State)
	}
	for kind, n := range groups.Members {
		gauge(membersDesc, float64(n), kind)
	}
	gauge(offsetsDesc, float64(groups.Offsets))

	var txns txn.Census
	census(c.txns, func(m *txn.Machine, now time.Time) { m.Census(now, &txns) })
	for state, n := range txns.IDs {
		gauge(idsDesc, float64(n), state.String())
	}
	gauge(oldestDesc, txns.Oldest.Seconds())
}

// census has each machine counted in its turn, one at a time, and waits for it.
func census[M shard.Machine](c *runtime.Coordinator[M], count func(M, time.Time)) {
	var (
		mu   sync.Mutex
		left int // to be counted; below zero as long as nobody has said how many there are
		done = make(chan struct{})
	)
	expect := func(n int) { // with mu held
		if left += n; left == 0 {
			close(done)
		}
	}
	asked := c.Each(func(m M, now time.Time) shard.Result {
		mu.Lock()
		defer mu.Unlock()
		count(m, now)
		expect(-1)
		return shard.Result{}
	}, func(error) {
		mu.Lock()
		defer mu.Unlock()
		expect(-1)
	})
	mu.Lock()
	expect(asked)
	mu.Unlock()
	<-done
}
