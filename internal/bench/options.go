package bench

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Mode is what a run does.
type Mode string

// The modes of a run.
const (
	Produce   Mode = "produce"    // write, and wait for acknowledgements
	Consume   Mode = "consume"    // read a topic from its start, once
	RoundTrip Mode = "round-trip" // write and read at the same time; latency is from send to receipt
	Commit    Mode = "commit"     // commit offsets of groups, and fetch them back
	Transact  Mode = "transact"   // write in transactions; latency is that of the commit
	Members   Mode = "members"    // join and leave a group; what counts is the time until it is stable
)

// The ways to choose a partition for records without a key.
const (
	RoundRobin = "round-robin" // the next record goes to the next partition
	Sticky     = "sticky"      // a partition is kept until its batch is full, as clients do by default
)

// The depths of verification.
const (
	VerifySample = "sample" // read back Options.Samples records
	VerifyFull   = "full"   // read back everything, each record exactly once
)

// Options describe one run. The zero value is not usable: start from DefaultOptions.
type Options struct {
	Brokers  []string `json:"bootstrap_servers"`
	ClientID string   `json:"client_id"`
	Mode     Mode     `json:"mode"`

	Duration time.Duration `json:"duration_ns"` // the measured window
	Warmup   time.Duration `json:"warmup_ns"`   // load before the window; verified, not measured
	Records  int64         `json:"records"`     // produce: stop after so many (0: no limit); consume: fill a topic of our own with so many

	Concurrency int     `json:"concurrency"`     // closed loop: records outstanding over all connections
	Blocking    bool    `json:"blocking"`        // closed loop: one sleeping goroutine per outstanding record
	Rate        float64 `json:"rate_per_second"` // open loop when > 0: records per second over all connections
	Connections int     `json:"connections"`     // clients, each with connections of its own

	MessageSize int    `json:"message_size_bytes"` // of the value
	Keys        int    `json:"keys"`               // distinct keys; 0: no key
	Compression string `json:"compression"`        // none, gzip, snappy, lz4, zstd

	Topic       string `json:"topic"`      // empty: a topic of our own, deleted at the end
	KeepTopic   bool   `json:"keep_topic"` // keep the topic of our own
	Partitions  int    `json:"partitions"` // of a topic that we create
	Replication int    `json:"replication_factor"`
	Partitioner string `json:"partitioner"` // of records without a key

	Acks                int           `json:"acks"` // 0, 1, -1
	Idempotence         bool          `json:"idempotence"`
	MaxInFlight         int           `json:"max_in_flight"` // produce requests per connection
	BatchBytes          int           `json:"batch_bytes"`
	Linger              time.Duration `json:"linger_ns"`
	FetchBytes          int           `json:"fetch_bytes"`           // largest response to a consumer
	FetchPartitionBytes int           `json:"fetch_partition_bytes"` // of it, from one partition

	Verify  string `json:"verify"`
	Samples int    `json:"samples"` // records read back by VerifySample
	Seed    uint64 `json:"seed"`    // of the payloads; 0: drawn at random

	Batch     int           `json:"transaction_records"` // records of a transaction
	Members   int           `json:"members"`             // of the group that one joins and leaves
	Protocol  string        `json:"group_protocol"`      // of the members
	Heartbeat time.Duration `json:"heartbeat_ns"`        // of the members

	BrokerPIDs Processes `json:"broker_pids"` // measure these processes too
	DataDir    string    `json:"data_dir"`    // describe the disk under the broker's data; empty: no
}

// MinMessageSize is the room that a payload's own header takes, in bytes.
const MinMessageSize = headerSize

// maxTransaction bounds --transaction-records: payloads are kept for each.
const maxTransaction = 4096

// DefaultOptions are those of chronik-bench without flags.
func DefaultOptions() Options {
	return Options{
		Brokers: []string{"localhost:9092"}, ClientID: "chronik-bench", Mode: Produce,
		Duration: 30 * time.Second, Warmup: time.Second,
		Concurrency: 128, Connections: 1, MessageSize: 256, Compression: "none",
		Partitions: 1, Replication: 1, Partitioner: RoundRobin,
		Acks: 1, MaxInFlight: 5, BatchBytes: 1_000_012, FetchBytes: 50 << 20, FetchPartitionBytes: 1 << 20,
		Verify: VerifySample, Samples: 256,
		Batch: 100, Members: 100, Protocol: Range, Heartbeat: 100 * time.Millisecond,
	}
}

// Validate reports everything that is wrong with the options, in words that say what to change.
func (o *Options) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(len(o.Brokers) > 0, "--bootstrap-servers is empty: give at least one host:port")
	bad(slices.Contains([]Mode{Produce, Consume, RoundTrip, Commit, Transact, Members}, o.Mode),
		"--mode %q is not known: use produce, consume, round-trip, commit, transact or members", o.Mode)
	bad(o.Duration > 0, "--duration must be above 0")
	bad(o.Warmup >= 0, "--warmup must not be negative")
	bad(o.Connections >= 1 && o.Connections <= maxConnections, "--connections must be from 1 to %d", maxConnections)
	bad(o.Rate > 0 || o.Mode == Consume || o.Concurrency >= o.Connections,
		"--concurrency %d is below --connections %d: each connection needs at least one record outstanding", o.Concurrency, o.Connections)
	bad(o.Rate >= 0 && !math.IsNaN(o.Rate) && !math.IsInf(o.Rate, 0), "--rate must be a number of records per second, or 0 for the closed loop")
	bad(o.MessageSize >= MinMessageSize, "--message-size %d is too small: the verification's header takes %d bytes", o.MessageSize, MinMessageSize)
	bad(o.Records >= 0, "--records must not be negative")
	bad(o.Keys >= 0, "--keys must not be negative")
	bad(o.Partitions >= 1, "--partitions must be at least 1")
	bad(o.Replication >= 1 && o.Replication <= math.MaxInt16, "--replication-factor must be at least 1")
	bad(slices.Contains([]string{RoundRobin, Sticky}, o.Partitioner), "--partitioner %q is not known: use round-robin or sticky", o.Partitioner)
	bad(slices.Contains([]int{0, 1, -1}, o.Acks), "--acks must be 0, 1 or -1 (all)")
	bad(!o.Idempotence || o.Acks == -1, "--idempotence needs --acks -1")
	bad(o.MaxInFlight >= 1, "--max-in-flight must be at least 1")
	bad(o.BatchBytes >= 512, "--batch-bytes must be at least 512")
	bad(min(o.FetchBytes, o.FetchPartitionBytes) >= 1024, "--fetch-bytes and --fetch-partition-bytes must be at least 1024")
	bad(o.Linger >= 0 && o.Linger <= time.Minute, "--linger must be from 0 to 1m")
	bad(o.Verify == VerifySample || o.Verify == VerifyFull, "--verify %q is not known: use sample or full", o.Verify)
	bad(o.Batch >= 1 && o.Batch <= maxTransaction, "--transaction-records must be from 1 to %d", maxTransaction)
	bad(o.Members >= 1, "--members must be at least 1")
	bad(slices.Contains([]string{Range, Cooperative, NextGen}, o.Protocol), "--group-protocol %q is not known: use range, cooperative or consumer", o.Protocol)
	bad(o.Heartbeat > 0, "--heartbeat must be above 0")
	bad(o.Mode != Commit || o.Partitions >= (o.Concurrency+o.Connections-1)/o.Connections,
		"--mode commit needs a partition for each request outstanding on a connection: raise --partitions")
	bad(o.Samples >= 1, "--samples must be at least 1: a run is always verified")
	if _, err := codec(o.Compression); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
