package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// The metrics of a run. All but the rates are better when smaller.
const (
	rate           = "records/s"
	p50            = "p50 ms"
	p99            = "p99 ms"
	p999           = "p99.9 ms"
	cpu            = "CPU s/M"
	memory         = "RSS MB"
	writes         = "writes/byte"
	joinTime       = "join to stable ms"
	leaveTime      = "leave to stable ms"
	startSeconds   = "start to first produce s"
	fetchSeconds   = "restart to first fetch s"
	produceSeconds = "restart to first produce s"
)

// target is a promise about a ratio Chronik / other.
type target struct {
	metric  string
	atLeast bool // else at most
	value   float64
}

func (t target) String() string {
	if t.atLeast {
		return fmt.Sprintf(">= %g", t.value)
	}
	return fmt.Sprintf("<= %g", t.value)
}

func (t target) holds(ratio float64) bool {
	if t.atLeast {
		return ratio >= t.value
	}
	return ratio <= t.value
}

func atLeast(metric string, v float64) target { return target{metric, true, v} }
func atMost(metric string, v float64) target  { return target{metric, false, v} }

// driver carries a scenario's load.
type driver int

const (
	franzGo      driver = iota // chronik-bench
	librdkafka                 // rdkafka-bench
	javaProducer               // Kafka's ProducerPerformance
	cold                       // chronik-bench consuming what is not in the page cache
	lifecycle                  // start, kill -9, restart
	resident                   // memory, after all the others
)

// scenario is one row of the comparison.
type scenario struct {
	name, title string
	driver      driver
	args        string        // of the driver
	of          setup         // our side; empty: chronik
	against     setup         // the other side
	share       float64       // of the duration; 0: all of it
	warmup      time.Duration // 0: runWarmup
	targets     []target
	short       bool // part of -short
}

// ours is the side whose ratio to the other one is looked at.
func (sc scenario) ours() setup { return cmp.Or(sc.of, chronik) }

// bulk records flow at hundreds of megabytes per second: half the time is enough, and fills half the disk.
const bulk = "--connections 2 --concurrency 16384 --message-size 1024 --linger 5ms --partitioner sticky"

var scenarios = []scenario{
	{name: "rdkafka-1", title: "librdkafka closed loop, 128 x 256 B, one connection, 1 partition", driver: librdkafka, against: kafka,
		targets: []target{atLeast(rate, 1.0), atMost(p99, 0.5), atMost(cpu, 0.8)}},
	{name: "rdkafka-16", title: "librdkafka closed loop over 16 partitions", driver: librdkafka, args: "--partitions 16", against: kafka,
		targets: []target{atLeast(rate, 2)}},
	{name: "rdkafka-256", title: "librdkafka closed loop over 256 partitions", driver: librdkafka, args: "--partitions 256", against: kafka,
		targets: []target{atLeast(rate, 5)}},
	{name: "rdkafka-256-warm", title: "librdkafka closed loop over 256 partitions, after 20 s of warm-up", driver: librdkafka, args: "--partitions 256",
		warmup: 20 * time.Second, against: kafka},
	{name: "rdkafka-acks0", title: "librdkafka closed loop, 1 partition, acks=0", driver: librdkafka, args: "--acks 0", against: kafka},
	{name: "rdkafka-acksall", title: "librdkafka closed loop, 1 partition, acks=-1", driver: librdkafka, args: "--acks -1", against: kafka},
	{name: "pipelined", title: "franz-go, 128 blocking senders, one connection, linger 0: small pipelined requests", driver: franzGo,
		args: "--blocking --max-in-flight 128", against: kafka, short: true,
		targets: []target{atLeast(rate, 5), atMost(cpu, 0.2)}},
	{name: "pipelined-1", title: "franz-go, 128 requests of one record outstanding on one connection", driver: franzGo,
		args: "--max-in-flight 128 --batch-bytes 512", against: kafka},
	{name: "closed", title: "franz-go closed loop, 128 x 256 B, one connection, 5 requests in flight", driver: franzGo, against: kafka, short: true},
	{name: "idempotent", title: "franz-go closed loop, 128 x 256 B, idempotent, acks=-1", driver: franzGo, args: "--acks -1 --idempotence", against: kafka, short: true},
	{name: "connections-128", title: "franz-go, 128 connections, one record outstanding each", driver: franzGo,
		args: "--connections 128", against: kafka, short: true,
		targets: []target{atLeast(rate, 0.85), atMost(cpu, 1.0)}},
	{name: "keyed-128", title: "128 keyed producers over 16 partitions, one record outstanding each", driver: franzGo,
		args: "--connections 128 --partitions 16 --keys 10000", against: kafka, short: true,
		targets: []target{atLeast(rate, 1.0)}},
	{name: "bulk-1", title: "franz-go bulk, 2 producers, 1 KiB records, 1 MiB batches", driver: franzGo, args: bulk, share: 0.5, against: kafka, short: true,
		targets: []target{atLeast(rate, 2.5), atMost(cpu, 0.35)}},
	{name: "bulk-16", title: "franz-go bulk over 16 partitions", driver: franzGo, args: bulk + " --partitions 16", share: 0.5, against: kafka,
		targets: []target{atLeast(rate, 2)}},
	{name: "bulk-256", title: "franz-go bulk over 256 partitions", driver: franzGo, args: bulk + " --partitions 256", share: 0.5, against: kafka,
		targets: []target{atLeast(rate, 2)}},
	{name: "cold", title: "franz-go consume of 1 KiB records from disk", driver: cold, against: kafka, short: true,
		targets: []target{atLeast(rate, 1.0), atMost(cpu, 1.0)}},
	{name: "tail", title: "franz-go consumer at the tail of a closed loop, 128 x 256 B (latency: produce to consume)", driver: franzGo,
		args: "--mode round-trip", against: kafka, short: true},
	{name: "produce-consume", title: "produce to consume at 2,000 records/s, open loop", driver: franzGo, args: "--mode round-trip --rate 2000", against: kafka, short: true,
		targets: []target{atMost(p99, 0.5), atMost(cpu, 0.4)}},
	{name: "java-produce", title: "Kafka's ProducerPerformance, 256 B records, acks=1, its other defaults", driver: javaProducer, against: kafka},
	{name: "memory", title: "resident memory after all of the above", driver: resident, against: kafka, targets: []target{atMost(memory, 0.15)}},
	{name: "sync-rdkafka-1", title: "librdkafka closed loop, 1 partition, both syncing every message", driver: librdkafka, against: kafkaSync,
		targets: []target{atLeast(rate, 50)}},
	{name: "sync-pipelined", title: "small pipelined requests, both syncing every message", driver: franzGo,
		args: "--blocking --max-in-flight 128", against: kafkaSync},
	{name: "sync-bulk-1", title: "bulk, 1 partition, both syncing every message", driver: franzGo, args: bulk, share: 0.5, against: kafkaSync},
	{name: "sync-produce-consume", title: "produce to consume at 2,000 records/s, both syncing every message", driver: franzGo,
		args: "--mode round-trip --rate 2000", against: kafkaSync},
	{name: "lifecycle", title: "start on an empty directory; kill -9 with 1 GiB of log in one partition, restart", driver: lifecycle, against: kafka,
		targets: []target{atMost(startSeconds, 0.1), atMost(fetchSeconds, 0.2), atMost(produceSeconds, 0.2)}},
	{name: "commits-1", title: "offset commits, one outstanding (commits/s)", driver: franzGo, args: "--mode commit --concurrency 1", against: kafka,
		targets: []target{atLeast(rate, 1.3)}},
	{name: "commits-64", title: "offset commits of 64 groups on 64 connections, one outstanding each (commits/s)", driver: franzGo,
		args: "--mode commit --connections 64 --concurrency 64", against: kafka, short: true, targets: []target{atLeast(rate, 1.3)}},
	{name: "commits-pipelined", title: "offset commits of one group, 64 outstanding on one connection (commits/s)", driver: franzGo,
		args: "--mode commit --concurrency 64 --partitions 64", against: kafka},
	{name: "transactions-1", title: "transactions of 100 x 256 B, one producer (transactions/s; latency of the commit)", driver: franzGo,
		args: "--mode transact --concurrency 1 --linger 5ms", against: kafka, targets: []target{atLeast(rate, 1.3)}},
	{name: "transactions-16", title: "transactions of 100 x 256 B, 16 producers, 16 partitions (transactions/s; latency of the commit)", driver: franzGo,
		args: "--mode transact --concurrency 16 --partitions 16 --linger 5ms", against: kafka, short: true, targets: []target{atLeast(rate, 1.3)}},
	{name: "members-range", title: "a classic group of 100 over 1,000 partitions, range: one joins, one leaves", driver: franzGo,
		args: "--mode members --partitions 1000 --group-protocol range", against: kafka, targets: []target{atMost(joinTime, 1), atMost(leaveTime, 1)}},
	{name: "members-cooperative", title: "a classic group of 100 over 1,000 partitions, cooperative: one joins, one leaves", driver: franzGo,
		args: "--mode members --partitions 1000 --group-protocol cooperative", against: kafka, targets: []target{atMost(joinTime, 1), atMost(leaveTime, 1)}},
	{name: "members-consumer", title: "a KIP-848 group of 100 over 1,000 partitions: one joins, one leaves", driver: franzGo, short: true,
		args: "--mode members --partitions 1000 --group-protocol consumer", against: kafka, targets: []target{atMost(joinTime, 1), atMost(leaveTime, 1)}},
	{name: "raft-rdkafka-1", title: "librdkafka closed loop, 1 partition: one node with Raft beside standalone", driver: librdkafka,
		of: chronikRaft, against: chronik, targets: []target{atLeast(rate, 0.95), atMost(cpu, 1.05)}},
	{name: "raft-pipelined", title: "small pipelined requests: one node with Raft beside standalone", driver: franzGo,
		args: "--blocking --max-in-flight 128", of: chronikRaft, against: chronik, targets: []target{atLeast(rate, 0.95), atMost(cpu, 1.05)}},
	{name: "cluster-acks1", title: "three nodes: librdkafka closed loop, 1 partition, acks=1", driver: librdkafka, args: "--acks 1",
		of: chronik3, against: kafka3, targets: []target{atLeast(rate, 1), atMost(cpu, 0.5)}},
	{name: "cluster-acks0", title: "three nodes: librdkafka closed loop, 1 partition, acks=0", driver: librdkafka, args: "--acks 0",
		of: chronik3, against: kafka3, targets: []target{atLeast(rate, 1), atMost(cpu, 0.5)}},
	{name: "cluster-acksall", title: "three nodes: librdkafka closed loop, 1 partition, acks=-1", driver: librdkafka, args: "--acks -1",
		of: chronik3, against: kafka3, targets: []target{atLeast(rate, 10)}},
	{name: "cluster-bulk", title: "three nodes: bulk, 1 KiB records, acks=-1", driver: franzGo, args: bulk + " --acks -1", share: 0.5,
		of: chronik3, against: kafka3, targets: []target{atLeast(rate, 2)}},
	{name: "cluster-produce-consume", title: "three nodes: produce to consume at 2,000 records/s, acks=-1", driver: franzGo,
		args: "--mode round-trip --rate 2000 --acks -1", of: chronik3, against: kafka3, targets: []target{atMost(p99, 0.1)}},
}

// choose picks the scenarios that the flags name.
func choose(s settings) (chosen []scenario, err error) {
	if s.scenarios == "" {
		for _, sc := range scenarios {
			if !s.short || sc.short {
				chosen = append(chosen, sc)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(s.scenarios, ",") {
		prefix, wild := strings.CutSuffix(name, "*")
		found := false
		for _, sc := range scenarios {
			if sc.name == name || wild && strings.HasPrefix(sc.name, prefix) {
				chosen, found = append(chosen, sc), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q: -list shows them all", name)
		}
	}
	return chosen, nil
}
