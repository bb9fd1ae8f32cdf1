package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// Copy is the processor of franz-go: it copies until ctx ends, and returns nil then, or until something is wrong that a new processor would mend, which it returns.
// What it does it says to log. The options come last.
func Copy(ctx context.Context, j Job, log io.Writer, opts ...kgo.Opt) error {
	all := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(j.Bootstrap, ",")...), kgo.TransactionalID(j.ID), kgo.ConsumerGroup(j.Group), kgo.ConsumeTopics(j.Input),
		kgo.TransactionTimeout(j.Transaction), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(200 * time.Millisecond),
	}
	all = append(all, Member(j.Protocol, j.Session)...)
	session, err := kgo.NewGroupTransactSession(append(all, opts...)...)
	if err != nil {
		return err
	}
	defer session.Close()
	for err == nil && ctx.Err() == nil {
		err = copyOnce(ctx, session, j.Output, log)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Clock is the time that a client's log begins its lines with.
func Clock() string { return time.Now().UTC().Format("15:04:05.000 ") }

// Member is what makes a client a member of a group. The new protocol has its session from the server.
func Member(protocol string, session time.Duration) []kgo.Opt {
	if protocol == Consumer {
		return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer(), kgo.RebalanceTimeout(2 * session)}
	}
	return []kgo.Opt{kgo.SessionTimeout(session), kgo.RebalanceTimeout(2 * session), kgo.HeartbeatInterval(session / 6)}
}

// copyOnce is one transaction. Its error is one that this processor cannot go on after.
func copyOnce(ctx context.Context, session *kgo.GroupTransactSession, output string, log io.Writer) error {
	fetches := session.PollRecords(ctx, perTransaction)
	fetches.EachError(func(topic string, p int32, err error) { _, _ = fmt.Fprintf(log, "fetching %s-%d: %v\n", topic, p, err) })
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var failed kgo.FirstErrPromise
	fetches.EachRecord(func(r *kgo.Record) {
		session.Produce(ctx, &kgo.Record{Topic: output, Partition: r.Partition, Value: r.Value}, failed.Promise())
	})
	_ = wait.For(ctx, rand.N(heldOpen))
	err := failed.Err()
	if err != nil {
		_, _ = fmt.Fprintf(log, "producing: %v\n", err)
	}
	committed, end := session.End(ctx, kgo.TransactionEndTry(err == nil && rand.IntN(abortOneOf) > 0))
	_, _ = fmt.Fprintf(log, "%d records, committed: %t\n", fetches.NumRecords(), committed)
	if end != nil {
		return fmt.Errorf("end: %w", errors.Join(end, err))
	}
	return nil
}
