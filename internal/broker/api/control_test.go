package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// changes is a request to the controller for each of its APIs.
func changes() []kmsg.Request {
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "new", 1, 1
	create.Topics = append(create.Topics, topic)
	deletion := kmsg.NewPtrDeleteTopicsRequest()
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.Topic = kmsg.StringPtr("t")
	deletion.Topics = append(deletion.Topics, gone)
	grow := kmsg.NewPtrCreatePartitionsRequest()
	growing := kmsg.NewCreatePartitionsRequestTopic()
	growing.Topic, growing.Count = "t", 3
	grow.Topics = append(grow.Topics, growing)
	full := kmsg.NewPtrAlterConfigsRequest()
	resource := kmsg.NewAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	full.Resources = append(full.Resources, resource)
	single := kmsg.NewPtrIncrementalAlterConfigsRequest()
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	single.Resources = append(single.Resources, one)
	elect := kmsg.NewPtrElectLeadersRequest()
	election := kmsg.NewElectLeadersRequestTopic()
	election.Topic, election.Partitions = "t", []int32{0}
	elect.Topics = append(elect.Topics, election)
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	moving := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	moving.Topic = "t"
	part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	part.Replicas = []int32{2, 1, 3}
	moving.Partitions = append(moving.Partitions, part)
	move.Topics = append(move.Topics, moving)
	describe := kmsg.NewPtrDescribeQuorumRequest()
	log := kmsg.NewDescribeQuorumRequestTopic()
	log.Topic, log.Partitions = quorumTopic, []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	describe.Topics = append(describe.Topics, log)
	features := kmsg.NewPtrUpdateFeaturesRequest()
	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	unregister.BrokerID = 3
	add := kmsg.NewPtrAddRaftVoterRequest()
	add.VoterID, add.VoterDirectoryID, add.TimeoutMillis = 3, [16]byte{3}, 1000
	add.Listeners = append(add.Listeners, kmsg.NewAddRaftVoterRequestListener())
	remove := kmsg.NewPtrRemoveRaftVoterRequest()
	remove.VoterID, remove.VoterDirectoryID = 2, [16]byte{2}
	return []kmsg.Request{create, grow, full, single, elect, move, kmsg.NewPtrListPartitionReassignmentsRequest(), describe, features, unregister, add, remove, deletion}
}

// codes collects every error code in a response.
func codes(v reflect.Value, to map[int16]bool) map[int16]bool {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			codes(v.Elem(), to)
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes(v.Index(i), to)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "ErrorCode" {
				to[int16(v.Field(i).Int())] = true
			} else {
				codes(v.Field(i), to)
			}
		}
	}
	return to
}

// TestTheControllerAnswersForAll: a broker that is not the controller answers as the controller does, at every version.
func TestTheControllerAnswersForAll(t *testing.T) {
	seen := map[int16]bool{}
	for _, proto := range changes() {
		seen[proto.Key()] = true
		api, err := fullRange(proto.Key())
		if err != nil {
			t.Fatal(err)
		}
		for v := api[0]; v <= api[1]; v++ {
			name := fmt.Sprintf("%s v%d", kmsg.NameForKey(proto.Key()), v)
			s := clusterImage(t)
			active, _ := member(t, 1, s, nil)
			passed := 0
			other, _ := member(t, 2, s, forwarderFunc(func(ctx context.Context, q Forwarded) ([]byte, error) {
				passed++
				if q.ClientID != "me" || q.Origin != (Origin{}) {
					t.Errorf("%s: passed on as %+v", name, q)
				}
				return active.Answer(ctx, q)
			}))
			proto.SetVersion(v)
			r := other.ask(t.Context(), &server.Request{Key: proto.Key(), Version: v, ClientID: "me", Conn: new(server.Conn)}, proto)
			if passed != 1 || r.GetVersion() != v || r.Key() != proto.Key() {
				t.Errorf("%s: asked %d times, got version %d", name, passed, r.GetVersion())
			}
			if c := codes(reflect.ValueOf(r), map[int16]bool{}); c[kerr.NotController.Code] || c[kerr.UnknownServerError.Code] {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	for key := range controlled {
		if !seen[key.Int16()] {
			t.Errorf("%s is not tested", key.Name())
		}
	}
}

func fullRange(key int16) (r [2]int16, err error) {
	table, err := Table()
	if err != nil {
		return r, err
	}
	for a := range table.All() {
		if a.Key == key {
			return [2]int16{a.Min, a.Max}, nil
		}
	}
	return r, errors.New("not served")
}

// TestTheControllerKnowsWhoAsks: the origin of a request reaches the handler, by way of this broker or another one.
func TestTheControllerKnowsWhoAsks(t *testing.T) {
	var seen []Origin
	key := kmsg.ListPartitionReassignments
	real := controlled[key]
	controlled[key] = func(c *control, ctx context.Context, in kmsg.Request) kmsg.Response {
		seen = append(seen, c.from)
		return real(c, ctx, in)
	}
	defer func() { controlled[key] = real }()
	conn := new(server.Conn)
	want := Origin{Principal: Principal{Type: "User", Name: "alice", ByToken: true}}
	conn.SetValue(principalKey{}, want.Principal)
	s := clusterImage(t)
	active, _ := member(t, 1, s, nil)
	other, _ := member(t, 2, s, forwarderFunc(func(ctx context.Context, q Forwarded) ([]byte, error) { return active.Answer(ctx, q) }))
	unreached, _ := member(t, 3, s, forwarderFunc(func(context.Context, Forwarded) ([]byte, error) { return nil, context.DeadlineExceeded }))
	alone, _ := member(t, 1, s, nil)
	alone.Cluster = nil
	for _, b := range []*Broker{other, unreached, alone} {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		b.ask(t.Context(), &server.Request{Key: req.Key(), Conn: conn}, req)
	}
	if len(seen) != 3 || seen[0] != want || seen[1] != want || seen[2] != want {
		t.Errorf("the handlers were told %+v, want %+v each time", seen, want)
	}
}

// TestD4AnUnreachableControllerIsNoSuccess: if it is not known what came of a request, each part of the answer says so.
func TestD4AnUnreachableControllerIsNoSuccess(t *testing.T) {
	for failure, want := range map[error]*kerr.Error{
		quorum.ErrUnknownOutcome:                  kerr.RequestTimedOut,
		context.DeadlineExceeded:                  kerr.RequestTimedOut,
		&quorum.NotControllerError{Leader: 3}:     kerr.NotController,
		errors.New("something that nobody knows"): kerr.UnknownServerError,
	} {
		b, _ := member(t, 2, clusterImage(t), forwarderFunc(func(context.Context, Forwarded) ([]byte, error) { return nil, failure }))
		for _, req := range changes() {
			req.SetVersion(req.MaxVersion())
			r := b.ask(t.Context(), &server.Request{Key: req.Key(), Conn: new(server.Conn)}, req)
			got := codes(reflect.ValueOf(r), map[int16]bool{})
			if !got[want.Code] || got[0] {
				t.Errorf("%v: %s answers with the codes %v", failure, kmsg.NameForKey(req.Key()), got)
			}
		}
	}
}

// TestOnlyTheControllerDecides: another broker gives no answer that could be taken for the controller's.
func TestOnlyTheControllerDecides(t *testing.T) {
	b, q := member(t, 2, clusterImage(t), nil)
	for _, req := range changes() {
		req.SetVersion(req.MaxVersion())
		body, err := b.Answer(t.Context(), Forwarded{Key: req.Key(), Version: req.GetVersion(), Body: req.AppendTo(nil)})
		if !errors.Is(err, quorum.ErrNotController) || body != nil {
			t.Errorf("%s: got %d bytes and the error %v, want ErrNotController", kmsg.NameForKey(req.Key()), len(body), err)
		}
	}
	if len(q.calls) > 0 {
		t.Errorf("the quorum was changed: %v", q.calls)
	}
	for _, key := range []int16{0, 3, 18, 999} {
		if body, err := b.Answer(t.Context(), Forwarded{Key: key}); err == nil {
			t.Errorf("key %d, which is not for the controller, gets an answer of %d bytes", key, len(body))
		}
	}
}

func TestRaftVoters(t *testing.T) {
	b, q := member(t, 1, clusterImage(t), nil)
	for _, tc := range []struct {
		name      string
		node      model.BrokerID
		directory byte
		add       bool
		want      error
		calls     []string
	}{
		{"add an observer", 3, 3, true, nil, []string{"admit 3"}},
		{"add a voter", 2, 2, true, errIsVoter, nil},
		{"add a voter that has lost its directory", 2, 7, true, errIsVoter, nil},
		{"add a node that does not follow", 9, 9, true, errInvalidRequest, nil},
		{"remove a voter", 2, 2, false, nil, []string{"remove 2"}},
		{"remove a voter by another directory", 2, 7, false, errNoVoter, nil},
		{"remove an observer", 3, 3, false, nil, []string{"remove 3"}},
		{"remove an observer by another directory", 3, 7, false, errNoVoter, nil},
		{"remove the controller", 1, 1, false, quorum.ErrNotController, []string{"transfer to 2"}},
	} {
		q.calls = nil
		c := &control{Broker: b}
		act := c.dismiss
		if tc.add {
			act = func(ctx context.Context, r quorum.Replica) error { return c.admit(ctx, r, 1e9) }
		}
		err := act(t.Context(), quorum.Replica{Node: tc.node, Directory: image.UUID{tc.directory}})
		if !errors.Is(err, tc.want) || err != nil && tc.want == nil || !reflect.DeepEqual(q.calls, tc.calls) {
			t.Errorf("%s: got %v and %v, want %v and %v", tc.name, err, q.calls, tc.want, tc.calls)
		}
		if (c.ceased != nil) != errors.Is(tc.want, quorum.ErrNotController) {
			t.Errorf("%s: ceased is %v", tc.name, c.ceased)
		}
	}
}
