package verify

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/bench"
	"chronik/internal/verify/history"
)

// Producer is how one producer writes.
type Producer = history.Producer

// The usual producers. How many requests an idempotent one has in flight is the client's affair: it keeps its order.
var (
	Idempotent = Producer{Acks: -1, Idempotent: true, MaxInFlight: 5}
	Plain      = Producer{Acks: -1, MaxInFlight: 5}
	OneByOne   = Producer{Acks: -1, MaxInFlight: 1}                   // plain, and keeps its order
	LeaderOnly = Producer{Acks: 1, MaxInFlight: 5}                    // acks=1
	Once       = Producer{Acks: -1, MaxInFlight: 1 << 20, Once: true} // plain, never tried again: some of its records fail for certain
)

// Consumer is how one consumer reads.
type Consumer struct {
	Rack    string        // read from a replica in this rack, if brokers name one; empty: from leaders
	Restart time.Duration // leave this often and come back behind the last offset; 0: never
}

// Options say what a run does. Of those left zero, Start takes the value in parentheses.
type Options struct {
	Brokers     []string
	Topic       string // created if it does not exist, and kept (one of its own, deleted at the end)
	KeepTopic   bool   // keep one of its own
	Partitions  int    // of a topic that is created (3)
	Replication int    // of a topic that is created (what the cluster's default is)

	Producers   []Producer // (two Idempotent, one Plain, one Once)
	Consumers   []Consumer // (one steady, one that restarts each 10 s)
	Rate        float64    // records per second, all producers together (1,000)
	Outstanding int        // records of one producer in one partition that wait for an answer, at most (64)
	MessageSize int        // bytes of a value (128)
	Keys        int        // distinct keys, which decide about the partition (0: none, partitions by turns)

	RequestTimeout time.Duration // until a request without an answer is sent again elsewhere (1.5 s)
	Settle         time.Duration // at the end, for outstanding writes, and for reading everything (60 s)
	Observe        time.Duration // between two looks at leaders and log ends (250 ms)

	History     io.Writer     // gets the history as JSON lines; nil: nobody
	Spill       history.Spill // gets what does not fit in memory; nil: nothing does
	MemoryPages int           // pages of 32 KiB in memory, if there is a Spill (2,048)
	Client      []kgo.Opt     // of every client, last: dialer, TLS, SASL
	Logf        func(format string, args ...any)
}

// Validate sets what is left out, and reports everything that is wrong.
func (o *Options) Validate() error {
	o.Partitions = cmp.Or(o.Partitions, 3)
	o.Replication = cmp.Or(o.Replication, -1)
	o.Rate = cmp.Or(o.Rate, 1000)
	o.Outstanding = cmp.Or(o.Outstanding, 64)
	o.MessageSize = cmp.Or(o.MessageSize, 128)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 1500*time.Millisecond)
	o.Settle = cmp.Or(o.Settle, time.Minute)
	o.Observe = cmp.Or(o.Observe, 250*time.Millisecond)
	if o.Producers == nil {
		o.Producers = []Producer{Idempotent, Idempotent, Plain, Once}
	}
	if o.Consumers == nil {
		o.Consumers = []Consumer{{}, {Restart: 10 * time.Second}}
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	return o.check()
}

func (o *Options) check() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(len(o.Brokers) > 0, "no broker is given: name at least one host:port")
	bad(len(o.Producers) > 0, "without a producer there is nothing to verify")
	bad(o.Partitions > 0, "a topic has at least 1 partition")
	bad(o.Rate > 0 && o.Rate <= 1e6, "the rate must be above 0 and at most 1,000,000 records per second")
	bad(o.Outstanding > 0 && o.Keys >= 0, "outstanding records must be at least 1, keys at least 0")
	bad(o.MessageSize >= bench.MinMessageSize && o.MessageSize <= 900_000, "a message has from %d to 900,000 bytes: it carries its own checksum", bench.MinMessageSize)
	bad(o.RequestTimeout >= minTimeout, "the request timeout must be at least %v", minTimeout)
	for i, p := range o.Producers {
		bad(p.Acks == -1 || p.Acks == 1 && !p.Idempotent, "producer %d: acks must be -1, or 1 if it is not idempotent", i)
		bad(!(p.Once && p.Idempotent), "producer %d: one that never tries again cannot be idempotent", i)
		bad(p.MaxInFlight >= 1, "producer %d: at least 1 request must be allowed in flight", i)
	}
	return errors.Join(errs...)
}

// minTimeout is two of the client's smallest: one that the broker keeps, and the client's own on top.
const minTimeout = 200 * time.Millisecond

// clientOptions are those of every client. Retries come as fast as the Java client's: failover is to be measured, not waiting.
func (o *Options) clientOptions(more ...kgo.Opt) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID("chronik-verify"), kgo.DisableClientMetrics(),
		kgo.DialTimeout(o.RequestTimeout), kgo.RequestTimeoutOverhead(o.RequestTimeout / 2),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
	return append(append(opts, more...), o.Client...)
}
