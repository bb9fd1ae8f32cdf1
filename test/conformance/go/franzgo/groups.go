package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

func groups(e *driver.Env, t dataset.Topic) {
	e.Check("group-resume", func(ctx context.Context) error { return groupResume(ctx, e, t) })
	for _, b := range []struct {
		name     string
		balancer kgo.GroupBalancer
	}{{"range", kgo.RangeBalancer()}, {"cooperative-sticky", kgo.CooperativeStickyBalancer()}} {
		e.Check("group-two-members/"+b.name, func(ctx context.Context) error { return twoMembers(ctx, e, t, b.name, b.balancer) })
	}
	e.Check("group-static-member", func(ctx context.Context) error { return staticMember(ctx, e, t) })
	e.Check("group-admin", func(ctx context.Context) error { return groupAdmin(ctx, e, t) })
}

func groupName(e *driver.Env, purpose string) string { return "group-" + e.Client + "-" + purpose }

func member(e *driver.Env, t dataset.Topic, group string, opts ...kgo.Opt) (*kgo.Client, error) {
	return client(e, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(t.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
	}, opts...)...)
}

// consumeSome has a member take records until it has enough, commit what it took, and leave.
func consumeSome(ctx context.Context, c *kgo.Client, take func(*kgo.Record) (enough bool)) error {
	defer c.Close()
	enough := false
	for !enough {
		fetches := c.PollRecords(ctx, 100)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { enough = take(r) || enough })
	}
	return c.CommitUncommittedOffsets(ctx)
}

// groupResume: a second member goes on where the first one has committed.
func groupResume(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	taken := 0
	for _, until := range []int{e.Records / 3, e.Records} {
		c, err := member(e, t, groupName(e, "resume"))
		if err != nil {
			return err
		}
		err = consumeSome(ctx, c, func(r *kgo.Record) bool {
			taken++
			v.Add(fromKgo(r))
			return taken >= until || v.Done()
		})
		if err != nil {
			return err
		}
	}
	return v.Err()
}

// twoMembers: they share the partitions, and when one leaves the other takes over.
func twoMembers(ctx context.Context, e *driver.Env, t dataset.Topic, name string, b kgo.GroupBalancer) error {
	group := groupName(e, "two-"+name)
	first, err := member(e, t, group, kgo.Balancers(b))
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := member(e, t, group, kgo.Balancers(b))
	if err != nil {
		return err
	}
	defer second.Close()
	for _, c := range []*kgo.Client{first, second} { // they take part as long as somebody polls
		go func() {
			for ctx.Err() == nil && !c.PollFetches(ctx).IsClientClosed() {
				c.AllowRebalance()
			}
		}()
	}
	admin, err := client(e)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := shares(ctx, admin, group, t, 2); err != nil {
		return err
	}
	second.Close()
	return shares(ctx, admin, group, t, 1)
}

// shares waits until so many members share all partitions.
func shares(ctx context.Context, admin *kgo.Client, group string, t dataset.Topic, members int) error {
	for {
		got, err := kadm.NewClient(admin).DescribeGroups(ctx, group)
		if err != nil {
			return err
		}
		d := got[group]
		var parts []int32
		idle := 0
		for _, m := range d.Members {
			mine := 0
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, topic := range a.Topics {
					parts = append(parts, topic.Partitions...)
					mine += len(topic.Partitions)
				}
			}
			if mine == 0 {
				idle++
			}
		}
		slices.Sort(parts)
		if d.State == "Stable" && len(d.Members) == members && idle == 0 && len(parts) == int(t.Partitions) && len(slices.Compact(parts)) == int(t.Partitions) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the group never had %d members with all partitions: %+v", members, d)
		}
	}
}

// staticMember: a member with an instance starts anew without a rebalance.
func staticMember(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	group := groupName(e, "static")
	admin, err := client(e)
	if err != nil {
		return err
	}
	defer admin.Close()
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	taken := 0
	var was string
	for _, until := range []int{e.Records / 3, e.Records} {
		c, err := member(e, t, group, kgo.InstanceID("one"))
		if err != nil {
			return err
		}
		if err := consumeSome(ctx, c, func(r *kgo.Record) bool {
			taken++
			v.Add(fromKgo(r))
			return taken >= until || v.Done()
		}); err != nil {
			return err
		}
		got, err := kadm.NewClient(admin).DescribeGroups(ctx, group)
		if err != nil {
			return err
		}
		d := got[group]
		if len(d.Members) != 1 || d.Members[0].InstanceID == nil || *d.Members[0].InstanceID != "one" || d.Members[0].MemberID == was {
			return fmt.Errorf("a static member that stopped should still be in the group, and have a new ID after a start: %+v", d)
		}
		was = d.Members[0].MemberID
	}
	return v.Err()
}

// groupAdmin: what tools do to groups.
func groupAdmin(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	group := groupName(e, "admin")
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	a := kadm.NewClient(c)
	at := make(kadm.Offsets)
	for p := range t.Partitions {
		at.AddOffset(t.Name, p, int64(p)+1, -1)
	}
	if err := a.CommitAllOffsets(ctx, group, at); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	got, err := a.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p := range t.Partitions {
		if o, ok := got.Lookup(t.Name, p); !ok || o.At != int64(p)+1 {
			return fmt.Errorf("the offset of partition %d is %+v", p, o)
		}
	}
	listed, err := a.ListGroups(ctx)
	if err != nil {
		return err
	}
	if g, ok := listed[group]; !ok || g.State != "Empty" {
		return fmt.Errorf("listed is %+v", g)
	}
	lag, err := a.Lag(ctx, group)
	if err != nil {
		return err
	}
	if got, want := lag[group].Lag.Total(), int64(e.Records)-int64(t.Partitions*(t.Partitions+1)/2); got != want {
		return fmt.Errorf("the lag is %d, want %d", got, want)
	}
	var one kadm.TopicsSet
	one.Add(t.Name, 0)
	if del, err := a.DeleteOffsets(ctx, group, one); err != nil || del.Error() != nil {
		return fmt.Errorf("deleting an offset: %w", errors.Join(err, del.Error()))
	}
	if got, err = a.FetchOffsets(ctx, group); err != nil || len(got[t.Name]) != int(t.Partitions)-1 {
		return fmt.Errorf("after deleting an offset there are %v, %w", got, err)
	}
	if _, err := a.DeleteGroup(ctx, group); err != nil {
		return fmt.Errorf("deleting the group: %w", err)
	}
	_, err = a.DeleteGroup(ctx, group)
	return driver.WantError(err, "GROUP_ID_NOT_FOUND")
}
