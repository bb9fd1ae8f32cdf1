package api

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/command"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

func findRequest(kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, keys[0], keys
	return req
}

const shareKey = "a:group:AAAAAAAAAAAAAAAAAAAAAQ:0"

// TestFindCoordinator: a coordinator is the leader of its key's partition, in every version; a topic that is needed for the first time is made.
func TestFindCoordinator(t *testing.T) {
	for kind, key := range []string{"g", "t", shareKey} {
		for v := int16(0); v <= 6; v++ {
			withGroups(t, func(w *groupWorld) {
				w.commit(command.Delete(w.store.Load().Topic("__consumer_offsets").ID))
				r := say[*kmsg.FindCoordinatorResponse](w.client(), v, findRequest(int8(kind), key))
				code, node, port := r.ErrorCode, r.NodeID, r.Port
				if v >= findMany {
					code, node, port = r.Coordinators[0].ErrorCode, r.Coordinators[0].NodeID, r.Coordinators[0].Port
				}
				topic := w.store.Load().Topic(coordinatorTopics[kind])
				switch {
				case v == 0: // has groups only
					if w.store.Load().Topic("__consumer_offsets") == nil || code != 0 {
						t.Errorf("v0, kind %d: %+v", kind, r)
					}
				case kind == int(keyShare) && v < findShares:
					if code != kerr.InvalidRequest.Code || node != -1 || port != -1 || topic != nil {
						t.Errorf("v%d, kind %d: %+v", v, kind, r)
					}
				case code != 0 || node != 1 || port != 9092 || topic == nil || len(topic.Partitions) != 50:
					t.Errorf("v%d, kind %d: %+v, topic %v", v, kind, r, topic)
				}
			})
		}
	}
}

// TestCoordinatorTopics: what they are made with, however they are made.
func TestCoordinatorTopics(t *testing.T) {
	for kind, want := range []map[string]string{
		{"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600", "flush.messages": "1"},
		{"cleanup.policy": "compact", "compression.type": "uncompressed", "segment.bytes": "104857600", "flush.messages": "1",
			"unclean.leader.election.enable": "false", "min.insync.replicas": "2"},
		{"cleanup.policy": "delete", "retention.ms": "-1", "compression.type": "producer", "segment.bytes": "104857600", "flush.messages": "1",
			"min.insync.replicas": "2"},
	} {
		withGroups(t, func(w *groupWorld) {
			w.commit(command.Delete(w.store.Load().Topic("__consumer_offsets").ID))
			say[*kmsg.FindCoordinatorResponse](w.client(), 6, findRequest(int8(kind), []string{"g", "t", shareKey}[kind]))
			topic := w.store.Load().Topic(coordinatorTopics[kind])
			if got := topic.Configs; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s has %v, want %v", topic.Name, got, want)
			}
		})
	}
}

// TestKeysThatAreNone: what cannot be coordinated has no topic made.
func TestKeysThatAreNone(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		for _, tc := range []struct {
			kind int8
			key  string
		}{
			{3, "g"}, {-1, "g"}, {keyShare, ""}, {keyShare, ":"}, {keyShare, "::"}, {keyShare, "g"}, {keyShare, "g:0"}, {keyShare, "g:x:0"},
			{keyShare, ":AAAAAAAAAAAAAAAAAAAAAQ:0"}, {keyShare, "g:AAAAAAAAAAAAAAAAAAAAAQ:x"}, {keyShare, "g:AAAAAAAAAAAAAAAAAAAAAQ:"},
			{keyShare, "g:AAAAAAAAAAAAAAAAAAAAAQ:3000000000"},
		} {
			r := say[*kmsg.FindCoordinatorResponse](c, 6, findRequest(tc.kind, tc.key, tc.key))
			for _, got := range r.Coordinators {
				wantError(t, fmt.Sprint(tc), got.ErrorCode, kerr.InvalidRequest)
			}
		}
		for _, name := range []string{schema.Transactions.Name, schema.Shares.Name} {
			if w.store.Load().Topic(name) != nil {
				t.Errorf("%s was made", name)
			}
		}
	})
}

// TestNoCoordinator: as long as nobody leads the partition, or the topic cannot be made, the client is to ask again.
func TestNoCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		b, _ := member(t, 2, clusterImage(t), forwarderFunc(func(ctx context.Context, q Forwarded) ([]byte, error) {
			asked++
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", quorum.ErrNotController, ctx.Err())
		}))
		begun := time.Now()
		req := findRequest(keyGroup, "a", "b")
		req.SetVersion(4)
		r := b.findCoordinator(t.Context(), &server.Request{Conn: new(server.Conn)}, req)
		for _, got := range r.Coordinators {
			if got.ErrorCode != kerr.CoordinatorNotAvailable.Code || got.NodeID != int32(model.NoBroker) {
				t.Errorf("%+v", got)
			}
		}
		if waited := time.Since(begun); waited != creationTime || asked != 1 {
			t.Errorf("asked the controller %d times, waited %v", asked, waited)
		}
	})
}

// TestFindCoordinatorWithdrawn: a broker that has withdrawn sends nobody to itself.
func TestFindCoordinatorWithdrawn(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		c := w.client()
		if r := say[*kmsg.FindCoordinatorResponse](c, 6, findRequest(keyGroup, "g")).Coordinators[0]; r.ErrorCode != 0 || r.NodeID != 1 {
			t.Fatalf("before: %+v", r)
		}
		w.Cluster = &Cluster{Withdrawn: func() bool { return true }}
		r := say[*kmsg.FindCoordinatorResponse](c, 6, findRequest(keyGroup, "g")).Coordinators[0]
		wantError(t, "withdrawn", r.ErrorCode, kerr.CoordinatorNotAvailable)
	})
}
