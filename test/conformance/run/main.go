// Command run is `make conformance`: it installs real Kafka clients, starts a broker, lets each client write, read back and
// administer, then lets each client read what every other one wrote, and ends with the line "N passed, N failed".
//
//	go run ./test/conformance/run                              Chronik, from bin/chronik-server
//	go run ./test/conformance/run --nodes 3                    a cluster of Chronik, whose nodes are killed under consumers at the end
//	go run ./test/conformance/run --kafka                      Apache Kafka 4.3.1, fetched through Maven: the reference
//	go run ./test/conformance/run --bootstrap-servers host:9092
//	go run ./test/conformance/run --only kgo,java
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type options struct {
	server    string
	bootstrap string
	kafka     bool
	nodes     int
	only      string
	records   int
	cache     string
	limit     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/chronik-server", "the Chronik `binary` to start")
	flag.StringVar(&o.bootstrap, "bootstrap-servers", "", "test the broker at this `host:port` and start none")
	flag.BoolVar(&o.kafka, "kafka", false, "start and test Apache Kafka instead of Chronik")
	flag.IntVar(&o.nodes, "nodes", 1, "start a cluster of so many nodes of Chronik")
	flag.StringVar(&o.only, "only", "", "only these clients, separated by commas")
	flag.IntVar(&o.records, "records", 10_000, "records in each data set")
	flag.StringVar(&o.cache, "cache", ".cache/conformance", "a `directory` for what is installed and for logs")
	flag.DurationVar(&o.limit, "limit", 15*time.Minute, "the time that everything together may take")
	flag.Parse()
	os.Exit(run(o))
}

func run(o options) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	t := &tally{}
	if err := conform(ctx, o, t); err != nil {
		t.fail("conformance", err.Error())
	}
	fmt.Printf("%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 || t.passed == 0 {
		return 1
	}
	return 0
}

func conform(ctx context.Context, o options, t *tally) error {
	cache, err := filepath.Abs(o.cache)
	if err != nil {
		return err
	}
	source, err := filepath.Abs("test/conformance")
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(source, "DATASET.md")); err != nil {
		return fmt.Errorf("start this from the repository's root: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	in := &installer{source: source, cache: cache}
	drivers := chosen(allDrivers(in), o.only)
	if len(drivers) == 0 {
		return fmt.Errorf("--only %s names no client; there are %s", o.only, names(allDrivers(in)))
	}
	broken := in.installAll(ctx, t, drivers, o.kafka)
	if o.kafka && broken["java"] {
		return fmt.Errorf("without Maven's jars there is no Apache Kafka to start")
	}
	b, err := startBroker(ctx, o, in)
	if err != nil {
		return err
	}
	defer b.stop(t)
	s := &session{broker: b, cache: cache, records: o.records, tag: b.tag, tally: t, broken: broken}
	alive, cancel := b.whileAlive(ctx)
	defer cancel()
	s.each(alive, drivers, s.own)
	s.each(alive, drivers, s.cross)
	for _, d := range drivers {
		s.alone(alive, d)
	}
	if alive.Err() != nil || len(b.nodes) < 2 {
		return nil
	}
	cancel()
	for _, d := range drivers {
		s.failover(ctx, d)
	}
	return nil
}

func chosen(all []driver, only string) []driver {
	if only == "" {
		return all
	}
	var out []driver
	for _, d := range all {
		for name := range strings.SplitSeq(only, ",") {
			if d.name == name {
				out = append(out, d)
			}
		}
	}
	return out
}

func names(drivers []driver) string {
	var out []string
	for _, d := range drivers {
		out = append(out, d.name)
	}
	return strings.Join(out, ", ")
}
