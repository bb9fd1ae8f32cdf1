package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

func failover(e *driver.Env) {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	e.Check("group-failover", func(ctx context.Context) error { return groupFailover(ctx, e, t) })
}

// groupFailover: a member commits whatever it takes, and neither notices that its coordinator is killed after a third, nor that it comes back after two.
// Each commit is acknowledged before the next records are taken, so that a record that comes twice, or never, shows an acknowledged commit that was lost.
func groupFailover(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	group := groupName(e, "failover")
	c, err := member(e, t, group)
	if err != nil {
		return err
	}
	defer c.Close()
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	taken := 0
	until := func(n int) error {
		for taken < n && !v.Done() {
			fetches := c.PollRecords(ctx, 100)
			if err := fetches.Err(); err != nil {
				return fmt.Errorf("after %d records: %w", taken, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				taken++
				v.Add(fromKgo(r))
			})
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				return fmt.Errorf("committing after %d records: %w", taken, err)
			}
		}
		return nil
	}
	if err := until(e.Records / 3); err != nil {
		return err
	}
	back, err := driver.KillCoordinator(group)
	if err != nil {
		return err
	}
	if err := until(e.Records * 2 / 3); err != nil {
		return err
	}
	if err := back(); err != nil {
		return err
	}
	if err := until(e.Records); err != nil {
		return err
	}
	if err := v.Err(); err != nil {
		return err
	}
	return committed(ctx, e, t, group)
}

// committed: the group has committed the whole topic.
func committed(ctx context.Context, e *driver.Env, t dataset.Topic, group string) error {
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := kadm.NewClient(c).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p := range t.Partitions {
		o, _ := got.Lookup(t.Name, p)
		if err := driver.Want(fmt.Sprintf("committed of partition %d", p), o.At, t.Count(p, e.Records)); err != nil {
			return err
		}
	}
	return nil
}
