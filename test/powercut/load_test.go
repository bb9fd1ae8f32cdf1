package powercut

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
)

// topic is one that lives through the whole story.
type topic struct {
	*ledger.Ledger
	partitions int32
	configs    map[string]string
	rule       ledger.Rule
	writer     writer
}

// writer is who writes to a topic.
type writer uint8

const (
	idempotent writer = iota // acks=-1
	simple                   // acks=1, and not idempotent: what is retried may stand there twice
	themselves               // the topic's owner, as a crowd of idempotent producers
)

// bulky are records of which a few fill a segment of 1 MiB, the smallest that Kafka allows, among small ones.
func bulky(number uint64) []byte {
	size := 100
	if number%4 == 0 {
		size = 40<<10 + int(number*0x9e3779b97f4a7c15>>48) // at most 64 KiB more
	}
	return ledger.Bytes(number, size)
}

func newTopics(p plan) []*topic {
	return []*topic{
		{Ledger: ledger.New("ordered", nil), partitions: 3, rule: ledger.Rule{ExactlyOnce: true},
			configs: map[string]string{"segment.ms": "15", "index.interval.bytes": "512"}},
		{Ledger: ledger.New("trimmed", bulky), partitions: 2, rule: ledger.Rule{ExactlyOnce: true},
			configs: map[string]string{"segment.bytes": "1048576"}},
		{Ledger: ledger.New("plain", nil), partitions: 2, writer: simple},
		{Ledger: ledger.New("kept", bulky), partitions: 1, writer: simple, rule: ledger.Rule{Retention: true},
			configs: map[string]string{"segment.bytes": "1048576", "retention.bytes": "1500000",
				"retention.ms": strconv.FormatInt(p.maxAge.Milliseconds(), 10)}},
		{Ledger: ledger.New("crowded", nil), partitions: 1, writer: themselves, rule: ledger.Rule{ExactlyOnce: true},
			configs: map[string]string{"segment.ms": "40"}},
	}
}

// load is everything that the clients do in a story.
type load struct {
	plan   plan
	topics []*topic
	owner  *owner

	clients []*kgo.Client
	writers [themselves]*kgo.Client
	reader  *kgo.Client

	giveUp context.CancelCauseFunc // ends the story
	stacks func() string           // of the node
	mu     sync.Mutex
	found  error
}

func newLoad(m *machine, p plan, giveUp context.CancelCauseFunc) (*load, error) {
	l := &load{plan: p, topics: newTopics(p), giveUp: giveUp, stacks: m.goroutines}
	var names []string
	for _, t := range l.topics {
		names = append(names, t.Topic())
	}
	var admin *kgo.Client
	for _, c := range []struct {
		into **kgo.Client
		opts []kgo.Opt
	}{
		{&admin, nil},
		{&l.writers[idempotent], []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(p.codec)}},
		{&l.writers[simple], []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}},
		{&l.reader, []kgo.Opt{kgo.ConsumeTopics(names...), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())}},
	} {
		cl, err := m.dial(c.opts...)
		if err != nil {
			return nil, err
		}
		*c.into = cl
		l.clients = append(l.clients, cl)
	}
	l.owner = newOwner(asker{admin}, p.seed, l.topics)
	return l, nil
}

func (l *load) close() {
	for _, cl := range l.clients {
		cl.Close()
	}
}

// wrong notes something that must not happen and ends the story. What goes wrong after that is a consequence.
func (l *load) wrong(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		if errors.Is(err, errLate) {
			err = fmt.Errorf("%w\nthe node:\n%s", err, l.stacks())
		}
		l.found = err
		l.giveUp(err)
	}
}

// wrongs returns what was noted.
func (l *load) wrongs() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.found
}

// create makes the topics. It is part of the story: the power may go at any moment of it.
func (l *load) create(ctx context.Context) error {
	for _, t := range l.topics {
		created, err := l.owner.createTopic(ctx, t.Topic(), t.partitions, t.configs)
		if err != nil {
			return err
		}
		if t.writer == themselves {
			l.owner.crowd.id = created
		}
	}
	return nil
}

// run produces, reads, watches and meddles until ctx ends. give bounds what must then still be finished.
func (l *load) run(ctx, give context.Context) {
	var wg sync.WaitGroup
	for _, t := range l.topics {
		if t.writer != themselves {
			wg.Go(func() { t.Produce(ctx, l.writers[t.writer], l.plan.window) })
		}
		for partition := range t.partitions {
			wg.Go(func() { l.wrong(l.watch(ctx, t, partition)) })
		}
	}
	wg.Go(func() { l.consume(ctx) })
	wg.Go(func() { l.wrong(l.owner.run(ctx, give)) })
	wg.Wait()
	for _, cl := range l.writers {
		if err := cl.Flush(give); err != nil {
			l.wrong(fmt.Errorf("flushing: %w, %w", err, context.Cause(give)))
		}
	}
}

// consume enters what a consumer is shown.
func (l *load) consume(ctx context.Context) {
	ledgers := make(map[string]*ledger.Ledger)
	for _, t := range l.topics {
		ledgers[t.Topic()] = t.Ledger
	}
	for {
		fetches := l.reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			ledgers[r.Topic].Show(ledger.Place{Partition: r.Partition, Offset: r.Offset}, r.Value)
		})
	}
}

// watch asks where a partition starts and ends, again and again. Neither may ever go back (R5), the end must cover what
// was acknowledged before the question, and the start too.
func (l *load) watch(ctx context.Context, t *topic, partition int32) error {
	var start, end int64
	for ctx.Err() == nil {
		atLeast := max(start, t.Start(partition))
		now, err := l.owner.offset(ctx, t.Topic(), partition, earliest)
		if err == nil {
			if now < atLeast {
				return fmt.Errorf("back: %s-%d starts at %d, it started at %d before", t.Topic(), partition, now, atLeast)
			}
			start, atLeast = now, max(end, t.End(partition))
			now, err = l.owner.offset(ctx, t.Topic(), partition, latest)
		}
		if err == nil {
			if now < atLeast {
				return fmt.Errorf("back: %s-%d ends at %d, it ended at %d before", t.Topic(), partition, now, atLeast)
			}
			end = now
		}
		if err != nil && !errors.Is(err, errUnsure) {
			return fmt.Errorf("asking for the offsets of %s-%d: %w", t.Topic(), partition, err)
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
	}
	return nil
}
