// Command streams is the conformance driver of Kafka Streams: it has an application count words exactly once, kills it, and starts it again.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

const (
	partitions = 3
	// limit is for three starts of a JVM, two sessions that must end first, and a transaction that must.
	limit = 3 * time.Minute
)

func main() {
	driver.Main(own, func(context.Context, *driver.Env, dataset.Topic) error {
		return fmt.Errorf("the application reads no data sets of others")
	})
}

func own(e *driver.Env) {
	for _, protocol := range []string{"classic", "streams"} {
		e.CheckWithin(limit, "word-count/"+protocol, func(ctx context.Context) error { return wordCount(ctx, e, protocol) })
	}
}

// An application counts words from one topic into another. Its processes are called after each other.
type application struct {
	e             *driver.Env
	protocol      string
	name, in, out string
	client        *kgo.Client
	state         string // a directory with one for each life that begins without state
	starts        int
	process       *jvm.Process
	lines         int
	counts        *counts
	ctx           context.Context
}

// wordCount: what comes out is each word with 1, 2, 3 and so on, nothing twice and nothing missing, although the application is killed twice in the
// midst of transactions. It first comes back with its state's directory, and so with the same transactional IDs, and then without.
func wordCount(ctx context.Context, e *driver.Env, protocol string) error {
	state, err := os.MkdirTemp("", "streams-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	a := &application{e: e, protocol: protocol, name: e.Topic("words-" + protocol), state: state}
	a.in, a.out = a.name+"-in", a.name+"-out"
	if err := a.open(ctx); err != nil {
		return err
	}
	defer a.client.Close()
	defer func() {
		if a.process != nil {
			a.process.Kill()
		}
	}()
	most, all := a.e.Records*2/3, a.e.Records
	for _, life := range []struct {
		feed, until int
		directory   string
	}{
		{most, all / 4, "first"},
		{most, all / 2, "first"},
		{all, all, "second"},
	} {
		if err := a.feed(ctx, life.feed); err != nil {
			return err
		}
		if err := a.live(ctx, life.directory, life.until); err != nil {
			return err
		}
	}
	if err := a.finished(ctx); err != nil || protocol != "streams" {
		return err
	}
	return a.deleted(ctx)
}

func (a *application) open(ctx context.Context) error {
	consume := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		consume[p] = kgo.NewOffset().AtStart()
	}
	var err error
	// Markers are kept, and left out below: this client goes past them without their epoch, and takes the next leader's answer for a loss.
	a.client, err = kgo.NewClient(kgo.SeedBrokers(a.e.Servers()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{a.out: consume}), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	created, err := kadm.NewClient(a.client).CreateTopics(ctx, partitions, driver.Replicas, nil, a.in, a.out)
	if err != nil {
		return err
	}
	a.counts = newCounts()
	return created.Error()
}

// feed writes lines until there are n.
func (a *application) feed(ctx context.Context, n int) error {
	failed := kgo.AbortingFirstErrPromise(a.client)
	for ; a.lines < n; a.lines++ {
		line := a.counts.line(a.lines)
		a.client.Produce(ctx, &kgo.Record{Topic: a.in, Partition: int32(a.lines % partitions), Value: []byte(line)}, failed.Promise())
	}
	if err := a.client.Flush(ctx); err != nil {
		return err
	}
	return failed.Err()
}

// live has a process run until so many lines' words have been counted, and then kills it, or stops it if that is all.
func (a *application) live(ctx context.Context, directory string, lines int) error {
	a.starts++
	var err error
	a.process, err = jvm.Start(ctx, a.e, fmt.Sprintf("streams-%s-%d", a.protocol, a.starts), "conformance.WordCount",
		a.e.Bootstrap, a.name, a.protocol, a.in, a.out, a.state+"/"+directory)
	if err != nil {
		return err
	}
	begin := time.Now()
	while, cancel := a.process.While(ctx)
	defer cancel()
	for a.counts.seen < lines*wordsPerLine {
		fetches := a.client.PollFetches(while)
		if err := context.Cause(while); err != nil {
			return fmt.Errorf("%d of %d words counted: %w", a.counts.seen, lines*wordsPerLine, err)
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(a.counts.take)
	}
	fmt.Fprintf(os.Stderr, "life %d: %d words counted after %v\n", a.starts, a.counts.seen, time.Since(begin))
	if a.lines > lines {
		if a.process.Kill(); a.protocol == "streams" {
			return a.evict(ctx)
		}
		return nil
	}
	if a.protocol == "streams" {
		if err := a.describedAs(ctx); err != nil {
			return err
		}
	}
	return a.process.Stop()
}
