package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// deaf are other brokers that do not answer.
type deaf struct{ asked int }

func (d *deaf) Forward(ctx context.Context, _ Forwarded) ([]byte, error) {
	d.asked++
	<-ctx.Done()
	return nil, ctx.Err()
}

func (d *deaf) transact(ctx context.Context, _ model.BrokerID, q Forwarded) ([]byte, error) {
	return d.Forward(ctx, q)
}

// TestCloseEndsErrands: a broker that is closed waits for nobody, and leaves nothing behind that would use what is closed after it.
func TestCloseEndsErrands(t *testing.T) {
	ask := func(b *Broker, told func()) {
		b.joiner.ask(&partitionJoining{id: "x", partition: model.TopicPartition{Topic: "t"}, since: time.Now(), done: func(int16) { told() }})
	}
	create := func(b *Broker, told func()) {
		b.internalTopics.create(Origin{}, "c", []streams.NewTopic{{Name: "n", Partitions: 1}}, time.Second)
		told()
	}
	for name, c := range map[string]struct {
		begin  func(b *Broker, told func())
		leader int32 // of the coordinator's partition; 0: there is none
		asked  int   // of other brokers
	}{
		"the coordinator is nowhere": {ask, 0, 0},
		"the coordinator is silent":  {ask, 2, 1},
		"the coordinator stops":      {ask, 1, 0},
		"the controller is silent":   {create, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, others := clusterImage(t), new(deaf)
				if c.leader != 0 {
					lead(t, s, schema.Transactions.Name, c.leader)
				}
				b, _ := member(t, 1, s, others)
				b.Cluster.Transact = others.transact
				told, began := 0, time.Now()
				c.begin(b, func() { told++ })
				synctest.Wait()
				b.Close()
				if told != 1 || others.asked != c.asked || time.Since(began) > joinPause {
					t.Errorf("told %d times of 1, others were asked %d times of %d, closing took %v", told, others.asked, c.asked, time.Since(began))
				}
				if len(b.internalTopics.underway) != 0 {
					t.Error("a creation is under way still")
				}
				b.Close() // again
			})
		})
	}
}

// lead gives the cluster a topic of one partition with a leader.
func lead(t *testing.T, s *image.Store, topic string, leader int32) {
	t.Helper()
	id := model.NewTopicID()
	c := command.Create(&command.CreateTopic{Name: topic, TopicId: id[:], Assignments: []*command.Assignment{{Replicas: []int32{leader}, Leader: leader}}})
	if _, err := (&fakeLog{s, true}).Propose(t.Context(), func(*image.Image) ([]*command.Command, error) { return []*command.Command{c}, nil }); err != nil {
		t.Fatal(err)
	}
}
