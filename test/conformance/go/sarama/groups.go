package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// groupResume: a second member goes on where the first one has committed.
func groupResume(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	m := &member{verify: v}
	for _, until := range []int{e.Records / 3, e.Records} {
		m.until = until
		if err := m.consume(ctx, e, t.Name); err != nil {
			return err
		}
	}
	if err := v.Err(); err != nil {
		return err
	}
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		name := "group-" + e.Client + "-resume"
		got, err := a.DescribeConsumerGroups([]string{name})
		if err != nil {
			return err
		}
		return errors.Join(driver.Want("state", got[0].State, "Empty"), a.DeleteConsumerGroup(name))
	})
}

// member takes records of all partitions, one after the other, until it has enough.
type member struct {
	verify       *dataset.Verifier
	taken, until int
	turn         chan struct{}
	stop         context.CancelFunc
}

func (m *member) consume(ctx context.Context, e *driver.Env, topic string) error {
	conf := config()
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	conf.Consumer.Offsets.AutoCommit.Enable = false
	conf.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	g, err := sarama.NewConsumerGroup(e.Servers(), "group-"+e.Client+"-resume", conf)
	if err != nil {
		return err
	}
	ctx, m.stop = context.WithCancel(ctx)
	defer m.stop()
	m.turn = make(chan struct{}, 1)
	err = g.Consume(ctx, []string{topic}, m)
	return errors.Join(err, g.Close())
}

// Setup implements sarama.ConsumerGroupHandler.
func (m *member) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (m *member) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler: it is called for each partition, at the same time.
func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, ok := <-claim.Messages():
			if !ok || !m.take(s, r) {
				return nil
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *member) take(s sarama.ConsumerGroupSession, r *sarama.ConsumerMessage) bool {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	if m.taken >= m.until || m.verify.Done() {
		return false
	}
	m.verify.Add(fromSarama(r))
	s.MarkMessage(r, "")
	if m.taken++; m.taken >= m.until || m.verify.Done() {
		m.stop()
	}
	return true
}
