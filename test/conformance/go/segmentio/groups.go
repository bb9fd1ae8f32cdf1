package main

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// groupResume: a second member goes on where the first one has committed.
func groupResume(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	v := dataset.NewVerifier(t, e.Records, alike)
	name := "group-" + e.Client + "-resume"
	taken := 0
	for _, until := range []int{e.Records / 3, e.Records} {
		r := kafka.NewReader(kafka.ReaderConfig{
			Brokers: e.Servers(), GroupID: name, Topic: t.Name, MaxWait: 200 * time.Millisecond, MinBytes: 1, MaxBytes: 4 << 20,
			StartOffset: kafka.FirstOffset,
		})
		var last []kafka.Message
		for ; taken < until && !v.Done(); taken++ {
			m, err := r.FetchMessage(ctx)
			if err != nil {
				return errors.Join(err, r.Close())
			}
			v.Add(fromKafka(m))
			last = append(last, m)
		}
		if err := errors.Join(r.CommitMessages(ctx, last...), r.Close()); err != nil {
			return err
		}
	}
	if err := v.Err(); err != nil {
		return err
	}
	got, err := client(e).DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{name}})
	if err != nil {
		return err
	}
	return driver.Want("state", got.Groups[0].GroupState, "Empty")
}
