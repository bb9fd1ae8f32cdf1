package exactlyonce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// What every processor does alike, in whichever language.
const (
	perTransaction = 50                    // records at most
	heldOpen       = 60 * time.Millisecond // a transaction at most, so that a fault meets one
	abortOneOf     = 20                    // transactions, although nothing is wrong
)

// processFranzGo copies input to output until it is killed or something is wrong that a new process would mend. Its arguments are those of job.args.
func processFranzGo(args []string) {
	bootstrap, group, input, output, id := args[0], args[1], args[2], args[3], args[4]
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.TransactionalID(id), kgo.ConsumerGroup(group), kgo.ConsumeTopics(input),
		kgo.SessionTimeout(milliseconds(args[5])), kgo.RebalanceTimeout(2*milliseconds(args[5])), kgo.HeartbeatInterval(milliseconds(args[5])/6),
		kgo.TransactionTimeout(milliseconds(args[6])), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, func() string { return time.Now().UTC().Format("15:04:05.000 ") })),
	)
	for err == nil {
		err = processOnce(context.Background(), session, output)
	}
	fmt.Fprintf(os.Stderr, "fatal: %v\n", err)
	os.Exit(1)
}

// processOnce is one transaction. Its error is one that this process cannot go on after.
func processOnce(ctx context.Context, session *kgo.GroupTransactSession, output string) error {
	fetches := session.PollRecords(ctx, perTransaction)
	fetches.EachError(func(topic string, p int32, err error) { fmt.Fprintf(os.Stderr, "fetching %s-%d: %v\n", topic, p, err) })
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
		fmt.Fprintf(os.Stderr, "producing: %v\n", err)
	}
	committed, end := session.End(ctx, kgo.TransactionEndTry(err == nil && rand.IntN(abortOneOf) > 0))
	fmt.Fprintf(os.Stderr, "%d records, committed: %t\n", fetches.NumRecords(), committed)
	if end != nil {
		return fmt.Errorf("end: %w", errors.Join(end, err))
	}
	return nil
}

func milliseconds(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return time.Duration(n) * time.Millisecond
}
