package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"chronik/internal/bench/disk"
)

// ErrNotVerified is returned with a result whose verification failed.
var ErrNotVerified = errors.New("verification failed: the broker does not hold what it acknowledged")

const (
	diskSamples  = 200
	settleQuiet  = 3 * time.Second  // end offsets that stand still for so long have settled
	receiveQuiet = 10 * time.Second // likewise, for a consumer
)

// run is one run in progress.
type run struct {
	opts     Options
	open     Opener
	progress func(Progress)
	cluster  *Cluster
	topic    Topic
	gen      *Generator
	result   *Result
	seeded   bool // the caller knows what the topic holds
}

// Run carries out one run with franz-go. progress is called about once a second while the load lasts.
// The result is nil only if there is nothing to report; with ErrNotVerified it is complete.
func Run(ctx context.Context, o Options, progress func(Progress)) (*Result, error) {
	return RunDriver(ctx, "franz-go", newProducers, o, progress)
}

// RunDriver is Run with another client library on the writing side.
func RunDriver(ctx context.Context, driver string, open Opener, o Options, progress func(Progress)) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	seeded := o.Seed != 0
	if !seeded {
		o.Seed = rand.Uint64() | 1
	}
	if _, err := o.BrokerPIDs.Usage(); err != nil {
		return nil, err
	}
	r := &run{opts: o, open: open, progress: progress, seeded: seeded, gen: NewGenerator(o.Seed, o.Keys, o.MessageSize)}
	r.result = &Result{Driver: driver, Options: o, Started: time.Now()}
	if o.DataDir != "" {
		info, err := disk.Describe(o.DataDir, diskSamples)
		if err != nil {
			return nil, fmt.Errorf("--data-dir: %w", err)
		}
		r.result.Disk = &info
	}
	var err error
	if r.cluster, err = Connect(ctx, o); err != nil {
		return nil, err
	}
	defer r.cluster.Close()
	return r.onTopic(ctx)
}

// onTopic opens the topic, runs the mode on it, and deletes it again if it is our own.
func (r *run) onTopic(ctx context.Context) (res *Result, err error) {
	if r.topic, err = r.cluster.Open(ctx); err != nil {
		return nil, err
	}
	r.result.Topic = r.topic.Name
	r.result.Options.Partitions = r.topic.Partitions
	if r.opts.Topic == "" && !r.opts.KeepTopic {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
			defer cancel()
			err = errors.Join(err, r.cluster.Delete(ctx, r.topic))
		}()
	}
	switch r.opts.Mode {
	case Consume:
		err = r.consume(ctx)
	case Commit:
		err = r.commits(ctx)
	case Transact:
		err = r.transactions(ctx)
	case Members:
		err = r.members(ctx)
	case RoundTrip:
		err = r.roundTrip(ctx)
	default:
		err = r.produce(ctx)
	}
	if r.result.Verification == nil {
		return nil, err
	}
	if err == nil && !r.result.Verification.OK {
		err = ErrNotVerified
	}
	return r.result, err
}

func (r *run) produce(ctx context.Context) error {
	before, err := r.cluster.EndOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	ledger, err := r.load(ctx, newSpan(&r.opts))
	if err != nil {
		return err
	}
	r.result.Latency, r.result.Ack = r.result.Ack, nil
	r.result.Verification, err = r.verify(ctx, ledger, before)
	return err
}

// load writes until the span is over, drains, and notes rates and latencies. The span must be newly made.
func (r *run) load(ctx context.Context, s Span) (*Ledger, error) {
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	writers, err := r.open(&r.opts, r.topic, r.gen, stop)
	if err != nil {
		return nil, err
	}
	defer writers.Close()
	m := meter{count: writers.Acked, broker: r.opts.BrokerPIDs, progress: r.progress}
	done := writers.Start(s)
	w, werr := m.watch(loadCtx, s, done)
	writers.Halt()
	<-done // bounded by deliveryTimeout
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("interrupted: %w", err)
	}
	ledger := Sum(r.opts.Samples, writers.Accounts()...)
	if werr != nil && ledger.Failed == 0 {
		return nil, werr
	}
	if w.Seconds == 0 && ledger.Failed == 0 {
		return nil, errors.New("the load ended before the warm-up did: raise --records or lower --warmup")
	}
	r.result.SetWindow(w, float64(ledger.Bytes)/float64(max(ledger.Acked, 1)), r.opts.BrokerPIDs)
	sum := writers.Latencies().Summary()
	r.result.Ack = &sum
	return ledger, nil
}

// verify looks at what became of the load; before are the end offsets from before it.
func (r *run) verify(ctx context.Context, ledger *Ledger, before []int64) (*Verification, error) {
	v, err := r.settled(ctx, ledger, before)
	if err != nil && ledger.Failed > 0 {
		err = fmt.Errorf("%d of %d records failed, the first with: %w; and the rest cannot be verified: %w",
			ledger.Failed, ledger.Failed+ledger.Acked, ledger.FirstError, err)
	}
	return v, err
}

// settled verifies once the end offsets have stopped moving.
func (r *run) settled(ctx context.Context, ledger *Ledger, before []int64) (*Verification, error) {
	s := Stored{
		Ledger: ledger, Before: before, Generator: r.gen, MessageSize: r.opts.MessageSize,
		Full: r.opts.Verify == VerifyFull, Samples: r.opts.Samples,
	}
	if r.opts.Acks == 0 {
		s.Barriers = 1
		if err := r.cluster.Barrier(ctx, r.topic); err != nil {
			return nil, err
		}
	}
	var err error
	want := total(before) + ledger.Acked + s.Barriers*int64(r.topic.Partitions)
	if s.After, err = r.cluster.Settled(ctx, r.topic, want, settleQuiet); err != nil {
		return nil, err
	}
	return Verify(ctx, s, r.cluster.Source(r.topic))
}

func (r *run) roundTrip(ctx context.Context) error {
	before, err := r.cluster.EndOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	cs, err := newConsumers(&r.opts, r.topic, r.gen, before, nil, r.opts.Acks != 0)
	if err != nil {
		return err
	}
	defer cs.close()
	s := newSpan(&r.opts)
	cs.start(ctx, s)
	ledger, err := r.load(ctx, s)
	if err != nil {
		return err
	}
	cs.await(ctx, ledger.Acked, receiveQuiet)
	received := cs.received()
	cs.stop()
	<-cs.done
	v, err := r.verify(ctx, ledger, before)
	if err != nil {
		return err
	}
	if received != ledger.Acked {
		v.problem("the consumer received %d records, %d were acknowledged", received, ledger.Acked)
	}
	cs.judge(v)
	sum := cs.latencies().Summary()
	r.result.Latency, r.result.Verification = &sum, v
	return nil
}

// consume reads from the topic's start to the end that it has now.
func (r *run) consume(ctx context.Context) error {
	if r.topic.Created {
		if err := r.fill(ctx); err != nil {
			return err
		}
	}
	from, err := r.cluster.StartOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	to, err := r.cluster.EndOffsets(ctx, r.topic)
	if err != nil {
		return err
	}
	want := total(to) - total(from)
	if want == 0 {
		return fmt.Errorf("topic %s is empty: fill it first (--mode produce --topic %s)", r.topic.Name, r.topic.Name)
	}
	cs, err := newConsumers(&r.opts, r.topic, r.gen, from, to, r.topic.Created || r.seeded)
	if err != nil {
		return err
	}
	defer cs.close()
	s := Span{time.Now(), time.Now().Add(r.opts.Duration)}
	m := meter{count: cs.received, broker: r.opts.BrokerPIDs, progress: r.progress}
	cs.start(ctx, s)
	w, err := m.watch(ctx, s, cs.done)
	cs.stop()
	<-cs.done
	if err != nil {
		return err
	}
	v := &Verification{OK: true, Depth: VerifySample, Counted: cs.received(), Growth: want}
	bytes := cs.judge(v)
	if time.Now().Before(s.end) && v.Counted != want {
		v.problem("%d records received, the offsets promise %d", v.Counted, want)
	}
	r.result.SetWindow(w, float64(bytes)/float64(max(v.Counted, 1)), r.opts.BrokerPIDs)
	r.result.Verification = v
	return nil
}

// fill writes what mode consume will read, fast, and verifies it.
func (r *run) fill(ctx context.Context) error {
	f := *r
	f.result = &Result{}
	f.opts.Mode, f.opts.Rate, f.opts.Warmup, f.opts.Duration, f.opts.BrokerPIDs = Produce, 0, 0, 24*time.Hour, nil
	f.opts.Connections, f.opts.Concurrency, f.opts.Linger, f.opts.Partitioner, f.opts.Acks = 1, 20_000, 5*time.Millisecond, Sticky, -1
	if f.opts.Records == 0 {
		f.opts.Records = 1_000_000
	}
	if err := f.produce(ctx); err != nil {
		return fmt.Errorf("fill the topic: %w", err)
	}
	if v := f.result.Verification; !v.OK {
		return fmt.Errorf("fill the topic: %w: %s", ErrNotVerified, v)
	}
	return nil
}
