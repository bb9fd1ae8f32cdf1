package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chronik/internal/bench"
	"chronik/internal/verify"
	"chronik/internal/verify/history"
)

const verifyExample = `  # one minute; kill, cut and stall brokers meanwhile, and let them come back before it ends
  chronik verify --bootstrap-servers k1:9092,k2:9092,k3:9092 --replication-factor 3 --duration 1m

  # other producers and consumers; the history is kept, to be judged again or sent to somebody
  chronik verify --producers idempotent=2,plain=1,one-by-one=1,acks1=1 --consumers steady=1,restarting=2 --write-history run.jsonl
  chronik verify --history run.jsonl`

// verifyFlags are the command line of chronik verify.
type verifyFlags struct {
	opts                                   verify.Options
	brokers, duration, producers, consumer string
	racks                                  []string
	restart                                time.Duration
	output, replay, save, spill            string
}

// verifier is the command chronik verify.
func verifier(s Streams) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [flags]",
		Short: "Write to a cluster and read from it while you kill and cut its brokers, and say whether a promise was broken",
		Long: `Write to a cluster and read from it while you kill and cut its brokers, and say whether a promise was broken.
Works with any cluster that speaks Kafka's protocol. Exit code 0: all was looked at, and nothing was violated. 1: otherwise.`,
		Example: verifyExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.output != "text" && f.output != "json" {
				return usageError{fmt.Errorf("--output %q is not known: use text or json", f.output)}
			}
			var report *verify.Report
			var err error
			if f.replay != "" {
				report, err = f.judge()
			} else {
				report, err = f.run(cmd.Context(), s)
			}
			if err != nil {
				return err
			}
			if err := f.print(report, s.Out); err != nil {
				return err
			}
			if !report.OK() {
				return errors.New("see the report above")
			}
			return nil
		},
	}
	f.bind(cmd)
	return cmd
}

func (f *verifyFlags) bind(cmd *cobra.Command) {
	fl, o := cmd.Flags(), &f.opts
	fl.SortFlags = false
	fl.StringVar(&f.brokers, "bootstrap-servers", "localhost:9092", "host:port of brokers, separated by commas")
	fl.StringVar(&f.duration, "duration", "60", "time of writing: seconds, or with a unit (90s, 5m); an interrupt ends it too")
	fl.StringVar(&o.Topic, "topic", "", "topic, created if absent and kept (default: a unique one, deleted at the end)")
	fl.BoolVar(&o.KeepTopic, "keep-topic", false, "keep the unique topic")
	fl.IntVar(&o.Partitions, "partitions", 3, "partitions of a topic that is created")
	fl.IntVar(&o.Replication, "replication-factor", 0, "replicas of a topic that is created (default: the cluster's)")
	fl.StringVar(&f.producers, "producers", "idempotent=2,plain=1,once=1", "how many of each kind: idempotent, plain (acks=all), one-by-one (plain, one request in flight), once (plain, never tried again), acks1 (plain, acks=1)")
	fl.StringVar(&f.consumer, "consumers", "steady=1,restarting=1", "how many of each kind: steady, restarting")
	fl.DurationVar(&f.restart, "restart-every", 10*time.Second, "how often a restarting consumer leaves and comes back")
	fl.StringSliceVar(&f.racks, "racks", nil, "one more consumer for each, reading from replicas in that rack (the brokers need a rack-aware replica selector)")
	fl.Float64Var(&o.Rate, "rate", 1000, "records per second, all producers together")
	fl.IntVar(&o.Outstanding, "outstanding", 64, "records of one producer in one partition that wait for an answer, at most")
	fl.IntVar(&o.MessageSize, "message-size", 128, "bytes of a value")
	fl.IntVar(&o.Keys, "keys", 0, "distinct keys, which decide about the partition (0: none, partitions by turns)")
	fl.DurationVar(&o.RequestTimeout, "request-timeout", 1500*time.Millisecond, "time after which a request without an answer is sent again")
	fl.DurationVar(&o.Settle, "settle", time.Minute, "time at the end for outstanding writes, and for reading everything")
	fl.StringVar(&f.save, "write-history", "", "write what the clients saw to this file, as JSON lines")
	fl.StringVar(&f.replay, "history", "", "judge a file of --write-history; no cluster is needed")
	fl.StringVar(&f.spill, "spill-dir", os.TempDir(), "directory of a file for what does not fit in 64 MiB of memory: 40 bytes per record and 8 per offset")
	fl.StringVar(&f.output, "output", "text", "text or json")
}

// kinds reads "idempotent=2,plain=1"; a kind without a number counts once.
func kinds[T any](flag, text string, known map[string]T) ([]T, error) {
	var out []T
	for part := range strings.SplitSeq(text, ",") {
		name, number, given := strings.Cut(strings.TrimSpace(part), "=")
		n := 1
		var err error
		if given {
			n, err = strconv.Atoi(number)
		}
		kind, ok := known[name]
		if !ok || err != nil || n < 0 || n > 1000 {
			return nil, usageError{fmt.Errorf("%s %q is not understood: write kind=number, separated by commas; --help lists the kinds", flag, part)}
		}
		for range n {
			out = append(out, kind)
		}
	}
	return out, nil
}

// resolve reads the flags that have a form of their own.
func (f *verifyFlags) resolve() (time.Duration, error) {
	d, err := bench.Seconds("--duration", f.duration)
	if err != nil {
		return 0, usageError{err}
	}
	f.opts.Brokers = bench.ParseBrokers(f.brokers)
	f.opts.Producers, err = kinds("--producers", f.producers, map[string]verify.Producer{
		"idempotent": verify.Idempotent, "plain": verify.Plain, "one-by-one": verify.OneByOne, "once": verify.Once, "acks1": verify.LeaderOnly,
	})
	if err != nil {
		return 0, err
	}
	f.opts.Consumers, err = kinds("--consumers", f.consumer, map[string]verify.Consumer{"steady": {}, "restarting": {Restart: f.restart}})
	for _, rack := range f.racks {
		f.opts.Consumers = append(f.opts.Consumers, verify.Consumer{Rack: rack})
	}
	return d, err
}

// run loads a cluster for the time that was asked for.
func (f *verifyFlags) run(ctx context.Context, s Streams) (*verify.Report, error) {
	d, err := f.resolve()
	if err != nil {
		return nil, err
	}
	if err := f.opts.Validate(); err != nil {
		return nil, usageError{err}
	}
	f.opts.Logf = func(format string, args ...any) { _, _ = fmt.Fprintf(s.Err, format+"\n", args...) }
	spill, err := f.spillFile()
	if err != nil {
		return nil, err
	}
	defer spill.Close()
	f.opts.Spill = spill
	saved := func() error { return nil }
	if f.save != "" {
		file, err := os.Create(f.save)
		if err != nil {
			return nil, usageError{fmt.Errorf("--write-history: %w", err)}
		}
		f.opts.History, saved = file, file.Close
	}
	run, err := verify.Start(ctx, f.opts)
	if err != nil {
		return nil, errors.Join(err, saved())
	}
	f.opts.Logf("writing to topic %s, %d partitions, for %v: hurt the cluster now, and let it heal before the end", run.Topic(), run.Partitions(), d)
	watch(ctx, run, d, f.opts.Logf)
	report, err := run.Stop(context.WithoutCancel(ctx))
	return report, errors.Join(err, saved())
}

// watch returns when the time is over or ctx ends, and tells each ten seconds how far the run is.
func watch(ctx context.Context, run *verify.Run, d time.Duration, logf func(string, ...any)) {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-tick.C:
			n := run.Counts()
			logf("%d records sent, %d acknowledged, %d shown to consumers", n.Invoked, n.Acked, n.Polled)
		}
	}
}

// spillFile is a file that is gone when it is closed, or when the process dies.
func (f *verifyFlags) spillFile() (*os.File, error) {
	file, err := os.CreateTemp(f.spill, "chronik-verify-*")
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--spill-dir: %w", err)}
	}
	return file, nil
}

// judge reads a history from its file.
func (f *verifyFlags) judge() (*verify.Report, error) {
	file, err := os.Open(f.replay)
	if err != nil {
		return nil, usageError{fmt.Errorf("--history: %w", err)}
	}
	defer file.Close()
	spill, err := f.spillFile()
	if err != nil {
		return nil, err
	}
	defer spill.Close()
	return verify.Judge(file, history.Options{Spill: spill})
}

func (f *verifyFlags) print(r *verify.Report, w io.Writer) error {
	if f.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := fmt.Fprint(w, r)
	return err
}
