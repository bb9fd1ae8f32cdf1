package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// transactions: the tool lists and describes one that is open, does not take it for a hanging one, and ends it by force.
func transactions(ctx context.Context, e *driver.Env) error {
	topic, id := e.Topic("transactions"), "transaction-"+e.Topic("open")
	c, err := client(e, kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := create(ctx, c, topic, 1); err != nil {
		return err
	}
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr(); err != nil {
		return err
	}
	producer, epoch, err := c.ProducerID(ctx)
	if err != nil {
		return err
	}
	name := regexp.QuoteMeta(id)
	listed := fmt.Sprintf(`(?m)^%s\s+[1-9]\s+%d\s+Ongoing`, name, producer)
	out, err := transactionTool(ctx, e, "list", "--transactional-id-pattern", "transaction-.*-open")
	if err := jvm.WantMatch(out, err, listed); err != nil {
		return err
	}
	out, err = transactionTool(ctx, e, "list", "--duration-filter", "3600000")
	if err == nil && regexp.MustCompile(listed).MatchString(out) {
		err = fmt.Errorf("a new transaction is listed as an old one: %s", out)
	}
	if err != nil {
		return err
	}
	out, err = transactionTool(ctx, e, "describe", "--transactional-id", id)
	if err := jvm.WantMatch(out, err, fmt.Sprintf(`(?m)^[1-9]\s+%s\s+%d\s+%d\s+Ongoing\s+\d+\s+\d{13}\s+\d+\s+%s-0`, name, producer, epoch, topic)); err != nil {
		return err
	}
	out, err = transactionTool(ctx, e, "describe-producers", "--topic", topic, "--partition", "0")
	if err := jvm.WantMatch(out, err, fmt.Sprintf(`(?m)^%d\s+%d\s+-?\d+\s+0\s+\d{13}\s+0\s*$`, producer, epoch)); err != nil {
		return err
	}
	out, err = transactionTool(ctx, e, "find-hanging", "--topic", topic, "--max-transaction-timeout", "0")
	if err == nil && regexp.MustCompile(`(?m)^`+topic).MatchString(out) {
		err = fmt.Errorf("a transaction that its coordinator knows is hanging: %s", out)
	}
	if err != nil {
		return err
	}
	if out, err := transactionTool(ctx, e, "forceTerminateTransaction", "--transactionalId", id); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := c.EndTransaction(ctx, kgo.TryCommit); err == nil {
		return errors.New("a transaction that was ended by force was committed")
	}
	return transactionLog(ctx, e, kadm.NewClient(c), id, topic)
}

// transactionLog: Kafka's formatter reads the coordinator's log, and the tool the outcome.
func transactionLog(ctx context.Context, e *driver.Env, a *kadm.Client, id, topic string) error {
	if err := driver.Soon(func() error {
		got, err := a.DescribeTransactions(ctx, id)
		if err != nil {
			return err
		}
		return driver.Want("state", got[id].State, "Empty")
	}); err != nil {
		return err
	}
	out, err := formatted(ctx, e, "__transaction_state", coordinatorPartition(id), "TransactionLogMessageFormatter")
	return jvm.WantMatch(out, err, `"transactionalId":"`+regexp.QuoteMeta(id)+`"`, `"topic":"`+topic+`"`, `"partitionIds":\[0\]`)
}
