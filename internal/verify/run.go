package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/bench"
	"chronik/internal/verify/history"
)

// Run is clients at work.
type Run struct {
	opts     Options
	seed     uint64
	payloads *bench.Generator
	cluster  *cluster
	began    time.Time
	base     []int64 // log ends before the run, by partition

	producers []*producer
	consumers []*consumer
	halt      context.CancelFunc // of the producers
	leave     context.CancelFunc // of the consumers and the observer
	writing   sync.WaitGroup
	reading   sync.WaitGroup

	mu       sync.Mutex
	checker  *history.Checker
	file     *history.Writer // nil: none is written
	err      error           // of the checker or the file
	acks     chan struct{}   // closed and replaced when one has come
	troubles map[string]int64
}

// Start begins to write and to read. The run goes on until Stop, also if ctx ends.
func Start(ctx context.Context, o Options) (*Run, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c, err := connect(&o)
	if err != nil {
		return nil, err
	}
	r := &Run{
		opts: o, cluster: c, seed: rand.Uint64(), began: time.Now(), acks: make(chan struct{}), troubles: map[string]int64{},
		checker: history.NewChecker(history.Options{Spill: o.Spill, MemoryPages: o.MemoryPages}),
	}
	r.payloads = bench.NewGenerator(r.seed, o.Keys, o.MessageSize)
	if o.History != nil {
		r.file = history.NewWriter(o.History)
	}
	if err := r.prepare(ctx); err != nil {
		r.close()
		return nil, err
	}
	r.begin(context.WithoutCancel(ctx))
	return r, nil
}

// prepare opens the topic and connects the producers.
func (r *Run) prepare(ctx context.Context) error {
	if err := r.cluster.open(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for p := range r.cluster.parts {
		start, end, err := r.cluster.ends(ctx, int32(p))
		if err != nil {
			return err
		}
		r.base = append(r.base, end)
		r.record(&history.Event{Kind: history.Opened, Partition: int32(p), Start: start, End: end})
	}
	for i, p := range r.opts.Producers {
		w, err := r.newProducer(int32(i), p)
		if err != nil {
			return err
		}
		r.producers = append(r.producers, w)
		r.record(&history.Event{Kind: history.Producing, Client: int32(i), Producer: &p})
	}
	for i, how := range r.opts.Consumers {
		r.consumers = append(r.consumers, r.newConsumer(int32(i), how))
	}
	return nil
}

func (r *Run) begin(ctx context.Context) {
	var write, read context.Context
	write, r.halt = context.WithCancel(ctx)
	read, r.leave = context.WithCancel(ctx)
	for _, w := range r.producers {
		r.writing.Go(func() { w.write(write) })
	}
	for _, c := range r.consumers {
		r.reading.Go(func() { c.read(read) })
	}
	r.reading.Go(func() { r.cluster.observe(read, r) })
}

// record enters an event, at the time that it is now.
func (r *Run) record(e *history.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = time.Since(r.began)
	if r.err == nil {
		r.err = r.checker.Add(e)
	}
	if r.err == nil && r.file != nil {
		r.err = r.file.Write(e)
	}
	if e.Kind == history.Acked {
		close(r.acks)
		r.acks = make(chan struct{})
	}
}

// maxTroubles bounds the different errors that are counted.
const maxTroubles = 200

// trouble counts an error that a client met. None of them is a violation.
func (r *Run) trouble(who string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf("%s: %v", who, err)
	if _, known := r.troubles[text]; !known && len(r.troubles) >= maxTroubles {
		text = "others"
	}
	r.troubles[text]++
	if r.troubles[text] == 1 {
		r.opts.Logf("%s", text)
	}
}

// Topic is the topic's name.
func (r *Run) Topic() string { return r.cluster.topic }

// Partitions is how many the topic has.
func (r *Run) Partitions() int { return r.cluster.parts }

// Counts is how much was written and read so far.
func (r *Run) Counts() history.Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checker.Counts()
}

// Stop ends the producers, waits for what they have outstanding, reads everything from the start of the log, and judges. The cluster should be whole
// again. ctx bounds all of it, and Options.Settle each part; what does not finish in time is in Report.Unfinished. The error is about the run itself.
func (r *Run) Stop(ctx context.Context) (*Report, error) {
	r.halt()
	r.writing.Wait()
	r.opts.Logf("waiting for outstanding writes")
	some, cancel := context.WithTimeout(ctx, r.opts.Settle)
	var drained sync.WaitGroup
	for _, w := range r.producers {
		drained.Go(func() { w.drain(some) })
	}
	drained.Wait()
	cancel()
	took := time.Since(r.began)
	unfinished := r.readAll(ctx)
	r.leave()
	r.reading.Wait()
	report, err := r.judge(took, unfinished)
	r.remove(ctx)
	r.close()
	return report, err
}

func (r *Run) judge(took time.Duration, unfinished []string) (*Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil && r.err == nil {
		r.err = r.file.Flush()
	}
	if r.err != nil {
		return nil, r.err
	}
	verdict, err := r.checker.Finish()
	if err != nil {
		return nil, err
	}
	verdict.Unfinished = append(verdict.Unfinished, unfinished...)
	return &Report{Verdict: *verdict, Topic: r.cluster.topic, Began: r.began, Took: took, Troubles: r.troubles}, nil
}

// remove deletes a topic of the run's own.
func (r *Run) remove(ctx context.Context) {
	if !r.cluster.ours || r.opts.Topic != "" || r.opts.KeepTopic {
		return
	}
	if err := r.cluster.remove(ctx); err != nil {
		r.trouble("topic", fmt.Errorf("it stays, delete it yourself: %w", err))
	}
}

func (r *Run) close() {
	for _, w := range r.producers {
		w.cl.Close()
	}
	r.cluster.cl.Close()
}

// readAll reads the topic to its end, and waits for the consumers to get there. It returns what did not finish.
func (r *Run) readAll(ctx context.Context) (unfinished []string) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Settle)
	defer cancel()
	r.opts.Logf("reading everything")
	_ = r.cluster.look(ctx) // ends tells if it failed
	ends := make([]int64, r.cluster.parts)
	for p := range ends {
		err := r.readPartition(ctx, int32(p), &ends[p])
		if err != nil {
			unfinished = append(unfinished, err.Error())
		}
	}
	if len(unfinished) > 0 {
		return unfinished
	}
	for _, c := range r.consumers {
		c.expect(ends)
		select {
		case <-c.done:
		case <-ctx.Done():
			unfinished = append(unfinished, c.behind())
		}
	}
	return unfinished
}

// readPartition reads a partition from the start of the log to where it ends now.
func (r *Run) readPartition(ctx context.Context, partition int32, to *int64) error {
	start, end, err := r.cluster.ends(ctx, partition)
	if err != nil {
		return err
	}
	h := r.cluster.head(partition)
	r.record(&history.Event{Kind: history.Led, Partition: partition, Client: h.leader, Offset: int64(h.epoch)})
	*to = end
	next := max(start, r.base[partition])
	for next < end && err == nil {
		before := next
		next, err = r.readOn(ctx, partition, next, end)
		if err != nil && (ctx.Err() == nil && next > before || pause(ctx, again) == nil) {
			r.trouble("final read", err)
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("partition %d was read up to offset %d of %d: %w", partition, next, end, err)
	}
	r.record(&history.Event{Kind: history.FinalBounds, Partition: partition, Start: start, End: end})
	return nil
}

// readOn reads as far as it can with one client, and returns the offset to go on from.
func (r *Run) readOn(ctx context.Context, partition int32, next, end int64) (int64, error) {
	cl, err := kgo.NewClient(r.readerOptions("", map[int32]kgo.Offset{partition: kgo.NewOffset().At(next)})...)
	if err != nil {
		return next, fmt.Errorf("options that the client refuses: %w", err)
	}
	defer cl.Close()
	for next < end {
		fetches := cl.PollFetches(ctx)
		if records := fetches.Records(); len(records) > 0 {
			r.record(&history.Event{Kind: history.FinalRead, Partition: partition, Runs: r.runs(records)})
			next = records[len(records)-1].Offset + 1
		}
		if err := fetches.Err(); err != nil {
			return next, err
		}
	}
	return next, nil
}
