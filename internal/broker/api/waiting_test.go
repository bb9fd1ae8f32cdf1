package api

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/sharesession"
	"chronik/internal/broker/sharing"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// emptySharing has no records for anybody: whoever fetches waits.
type emptySharing struct{ noSharing }

func (emptySharing) Fetch(ctx context.Context, q sharing.FetchRequest) (*sharing.Answer, error) {
	select {
	case <-time.After(time.Until(q.Deadline)):
	case <-ctx.Done():
	}
	return new(sharing.Answer), nil
}

func (emptySharing) Disconnect(sharesession.Connection) {}

// TestE2WaitingFetchesHoldNoFrame: consumers that wait for records, as all do at the end of a log, hold no memory of requests.
func TestE2WaitingFetchesHoldNoFrame(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		defer w.openPartition("t")()
		w.Sharing = emptySharing{}
		const each, wait = 500, 10 * time.Second
		fetch := kmsg.NewPtrFetchRequest()
		fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes, fetch.ReplicaID = int32(wait.Milliseconds()), 1, 1<<20, -1
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
		share := kmsg.NewPtrShareFetchRequest()
		group, member := "g", "m"
		share.GroupID, share.MemberID, share.MaxWaitMillis, share.MinBytes, share.MaxBytes = &group, &member, int32(wait.Milliseconds()), 1, 1<<20
		var clients []*groupClient
		for range each {
			fetches, shares := w.client(), w.client()
			fetches.send(4, fetch)
			shares.send(1, share)
			clients = append(clients, fetches, shares)
		}
		synctest.Wait()
		if n := w.budget.InUse(); n != 0 {
			t.Errorf("%d fetches that wait hold %d bytes", len(clients), n)
		}
		began := time.Now()
		for i, c := range clients {
			if i%2 == 0 {
				if r := answered[*kmsg.FetchResponse](c, fetch); r.Topics[0].Partitions[0].ErrorCode != 0 || r.Topics[0].Topic != "t" {
					t.Fatalf("%+v", r)
				}
			} else if r := answered[*kmsg.ShareFetchResponse](c, share); r.ErrorCode != 0 {
				t.Fatalf("%+v", r)
			}
		}
		if waited := time.Since(began); waited != wait {
			t.Errorf("they waited for %v, want %v", waited, wait)
		}
	})
}

// openPartition gives the broker partition 0 of a topic, which it leads, until the function that it returns is called.
func (w *groupWorld) openPartition(topic string) (end func()) {
	fs := crashfs.New(1)
	c := wal.NewCommitter(wal.CommitterOptions{FS: fs})
	set, err := replica.NewSet(replica.Env{Node: 1, FS: fs, Disks: []replica.Disk{{Dir: "/data", Committer: c}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	set.Ensure(replica.Assignment{
		Partition: model.TopicPartition{Topic: topic}, TopicID: w.store.Load().Topic(topic).ID, Settings: &replica.Settings{Log: wal.DefaultConfig(), MinISR: 1},
		State: &image.Partition{Replicas: []model.BrokerID{1}, ISR: []model.BrokerID{1}, Leader: 1, LastKnownLeader: model.NoBroker},
	})
	w.Replicas = set
	return func() {
		if err := set.Close(); err != nil {
			w.t.Error(err)
		}
		c.Close()
	}
}
