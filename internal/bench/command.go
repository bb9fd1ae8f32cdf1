package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const usageExample = `  # closed loop: 128 records of 256 bytes outstanding, 30 seconds
  chronik-bench --bootstrap-servers localhost:9092 --duration 30 --concurrency 128 --message-size 256

  # open loop: 2,000 records per second from producer to consumer
  chronik-bench --mode round-trip --rate 2000

  # offsets: 64 connections that commit for a group each, one commit outstanding
  chronik-bench --mode commit --connections 64 --concurrency 64

  # transactions: 16 producers, 100 records in each transaction
  chronik-bench --mode transact --concurrency 16 --partitions 16 --linger 5ms

  # a group: 100 members of 1,000 partitions, one joins and one leaves, by turns
  chronik-bench --mode members --partitions 1000 --group-protocol consumer

  # bulk: two connections, 1 KiB records, 1 MiB batches
  chronik-bench --connections 2 --concurrency 16384 --message-size 1024 --linger 5ms --partitioner sticky`

// Flags are the command line of a driver: its options, and where its report goes.
type Flags struct {
	Options  Options // before Bind: the defaults; DefaultOptions if zero
	JSON     string  // file for the JSON report; "-" is standard output, and text then goes to standard error
	Quiet    bool    // no progress lines
	duration string
	warmup   string
	acks     string
	brokers  string
}

// Bind declares the flags on a command. Call Resolve once they are parsed.
func (f *Flags) Bind(cmd *cobra.Command) {
	if f.Options.Mode == "" {
		f.Options = DefaultOptions()
	}
	o, fl := &f.Options, cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.brokers, "bootstrap-servers", "localhost:9092", "host:port of the brokers, separated by commas")
	fl.StringVar((*string)(&o.Mode), "mode", string(o.Mode), "produce, consume, round-trip, commit (offsets), transact or members (of a group)")
	fl.StringVar(&f.duration, "duration", "30", "measured time: seconds, or with a unit (90s, 5m)")
	fl.StringVar(&f.warmup, "warmup", "1", "load before it, verified but not measured: seconds, or with a unit")
	fl.Int64Var(&o.Records, "records", 0, "produce: stop after so many; consume: fill a topic of its own with so many (default 1000000)")
	fl.IntVar(&o.Concurrency, "concurrency", o.Concurrency, "closed loop: records outstanding over all connections")
	fl.BoolVar(&o.Blocking, "blocking", false, "closed loop: one goroutine per outstanding record, asleep until its answer (small requests)")
	fl.Float64Var(&o.Rate, "rate", 0, "open loop: records per second over all connections; latency counts from the due time")
	fl.IntVar(&o.Connections, "connections", o.Connections, "clients, each with its own connections")
	fl.IntVar(&o.MessageSize, "message-size", o.MessageSize, "bytes of a value")
	fl.IntVar(&o.Keys, "keys", 0, "distinct keys (0: no keys)")
	fl.StringVar(&o.Compression, "compression", o.Compression, "none, gzip, snappy, lz4 or zstd")
	fl.StringVar(&o.Topic, "topic", "", "topic, created if absent and kept (default: a unique one, deleted at the end)")
	fl.BoolVar(&o.KeepTopic, "keep-topic", false, "keep the unique topic")
	fl.IntVar(&o.Partitions, "partitions", o.Partitions, "partitions of a topic that is created")
	fl.IntVar(&o.Replication, "replication-factor", o.Replication, "replicas of a topic that is created")
	fl.StringVar(&o.Partitioner, "partitioner", o.Partitioner, "of records without a key: round-robin or sticky")
	fl.StringVar(&f.acks, "acks", strconv.Itoa(o.Acks), "0, 1 or -1 (all)")
	fl.BoolVar(&o.Idempotence, "idempotence", false, "idempotent producers (needs --acks -1)")
	fl.IntVar(&o.MaxInFlight, "max-in-flight", o.MaxInFlight, "produce requests in flight per connection")
	fl.IntVar(&o.BatchBytes, "batch-bytes", o.BatchBytes, "largest record batch")
	fl.DurationVar(&o.Linger, "linger", o.Linger, "time that a batch waits to fill")
	fl.IntVar(&o.FetchBytes, "fetch-bytes", o.FetchBytes, "largest fetch response")
	fl.IntVar(&o.FetchPartitionBytes, "fetch-partition-bytes", o.FetchPartitionBytes, "of it, from one partition")
	fl.IntVar(&o.Batch, "transaction-records", o.Batch, "transact: records of a transaction")
	fl.IntVar(&o.Members, "members", o.Members, "members: how many a group has that one joins and leaves, by turns")
	fl.StringVar(&o.Protocol, "group-protocol", o.Protocol, "members: range, cooperative, or consumer (KIP-848)")
	fl.DurationVar(&o.Heartbeat, "heartbeat", o.Heartbeat, "members: interval of their heartbeats")
	fl.StringVar(&o.Verify, "verify", o.Verify, "sample: read some records back; full: read back all, each exactly once")
	fl.IntVar(&o.Samples, "samples", o.Samples, "records that --verify sample reads back")
	fl.Uint64Var(&o.Seed, "seed", 0, "seed of the payloads (default: random); consume: what the topic must hold")
	fl.IntSliceVar((*[]int)(&o.BrokerPIDs), "broker-pid", nil, "broker processes on this machine, separated by commas: report their CPU, memory and writes")
	fl.StringVar(&o.DataDir, "data-dir", "", "broker's data directory on this machine: report its disk, refuse tmpfs")
	fl.StringVar(&o.ClientID, "client-id", o.ClientID, "client ID to send")
	fl.StringVar(&f.JSON, "json", "", "write the report as JSON to this file (-: standard output)")
	fl.BoolVar(&f.Quiet, "quiet", false, "no progress lines")
}

// Resolve reads the flags that have more than one spelling.
func (f *Flags) Resolve() error {
	var err1, err2, err3 error
	f.Options.Duration, err1 = Seconds("--duration", f.duration)
	f.Options.Warmup, err2 = Seconds("--warmup", f.warmup)
	f.Options.Brokers = ParseBrokers(f.brokers)
	switch f.acks {
	case "0", "1", "-1":
		f.Options.Acks, _ = strconv.Atoi(f.acks)
	case "all":
		f.Options.Acks = -1
	default:
		err3 = fmt.Errorf("--acks %q is not known: use 0, 1, -1 or all", f.acks)
	}
	return errors.Join(err1, err2, err3)
}

// Seconds reads "30" as seconds and "30s", "1m" as they say.
func Seconds(flag, text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a time: give seconds (30) or a unit (30s, 5m)", flag, text)
	}
	return d, nil
}

// Report writes a result where the flags say.
func (f *Flags) Report(r *Result, stdout, stderr io.Writer) error {
	if f.JSON == "-" {
		return errors.Join(r.WriteText(stderr), r.WriteJSON(stdout))
	}
	if err := r.WriteText(stdout); err != nil || f.JSON == "" {
		return err
	}
	file, err := os.Create(f.JSON)
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return errors.Join(r.WriteJSON(file), file.Close())
}

// Command is chronik-bench.
func Command() *cobra.Command {
	cmd := DriverCommand("chronik-bench", "franz-go", newProducers, DefaultOptions())
	cmd.Short = "Load a Kafka-compatible broker, measure it, and verify that it holds what it acknowledged"
	cmd.Example = usageExample
	return cmd
}

// DriverCommand is a command that runs one load with the given client library and defaults. It returns
// an error, and so ends with exit code 1, for a run that could not be made and for one that is not verified.
func DriverCommand(name, driver string, open Opener, defaults Options) *cobra.Command {
	f := Flags{Options: defaults}
	cmd := &cobra.Command{
		Use:           name,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.Resolve(); err != nil {
				return err
			}
			progress := func(p Progress) { fmt.Fprintln(cmd.ErrOrStderr(), p) }
			if f.Quiet {
				progress = func(Progress) {}
			}
			result, err := RunDriver(cmd.Context(), driver, open, f.Options, progress)
			if result != nil {
				err = errors.Join(f.Report(result, cmd.OutOrStdout(), cmd.ErrOrStderr()), err)
			}
			return err
		},
	}
	f.Bind(cmd)
	return cmd
}
