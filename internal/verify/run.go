package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

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
