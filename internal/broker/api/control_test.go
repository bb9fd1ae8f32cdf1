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
	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/replica"
)

// fakeLog is a metadata log in memory. On a broker that is not the active controller it refuses every decision.
type fakeLog struct {
	store  *image.Store
	active bool
}

func (l *fakeLog) Propose(_ context.Context, decide quorum.Decide) (*image.Image, error) {
	im := l.store.Load()
	if !l.active {
		return nil, &quorum.NotControllerError{Leader: 2, Term: 1}
	}
	commands, err := decide(im)
	if err != nil || len(commands) == 0 {
		return im, err
	}
	next, _, err := image.Apply(im, commands, 1, im.Index()+1)
	if err != nil {
		return nil, err
	}
	l.store.Publish(next)
	return next, nil
}

func (l *fakeLog) Images() *image.Store  { return l.store }
func (l *fakeLog) Done() <-chan struct{} { return nil }
func (l *fakeLog) Err() error            { return nil }

// fakeQuorum is the metadata quorum of nodes 1 and 2, led by one of them, with 3 as an observer.
type fakeQuorum struct {
	leader model.BrokerID
	calls  []string
}

func (q *fakeQuorum) Status(context.Context) (quorum.Status, error) {
	s := quorum.Status{Leader: q.leader, Term: 1, HighWatermark: 9}
	for id := model.BrokerID(1); id <= 3; id++ {
		r := quorum.ReplicaStatus{Replica: quorum.Replica{Node: id, Directory: image.UUID{byte(id)}}, LogEnd: 9, IsLeader: id == q.leader, CaughtUpEnough: true}
		if id < 3 {
			s.Voters = append(s.Voters, r)
		} else {
			s.Observers = append(s.Observers, r)
		}
	}
	return s, nil
}

func (q *fakeQuorum) Admit(_ context.Context, r quorum.Replica) error {
	q.calls = append(q.calls, fmt.Sprint("admit ", r.Node))
	return nil
}

func (q *fakeQuorum) Remove(_ context.Context, r quorum.Replica) error {
	q.calls = append(q.calls, fmt.Sprint("remove ", r.Node))
	return nil
}

func (q *fakeQuorum) TransferTo(_ context.Context, id model.BrokerID) error {
	q.calls, q.leader = append(q.calls, fmt.Sprint("transfer to ", id)), id
	return nil
}

// forwarderFunc makes a Forwarder of a function.
type forwarderFunc func(context.Context, Forwarded) ([]byte, error)

func (f forwarderFunc) Forward(ctx context.Context, q Forwarded) ([]byte, error) { return f(ctx, q) }

// clusterImage has the brokers 1 (rack a), 2 and 3 (rack b), all in service, and the topic t, of which 1 leads partition 0 and 2 partition 1.
func clusterImage(t *testing.T) *image.Store {
	t.Helper()
	s := image.NewStore(image.New("cluster"))
	l := &fakeLog{store: s, active: true}
	commands := []*command.Command{command.Feature(command.MetadataVersion, command.VersionCluster)}
	for id, rack := range []string{1: "a", 2: "b", 3: "b"} {
		if id > 0 {
			commands = append(commands, command.Add(&command.AddNode{
				NodeId: int32(id), IncarnationId: make([]byte, 16), DirectoryId: append(make([]byte, 15), byte(id)), Rack: rack,
				Endpoints: []*command.Endpoint{{Listener: "L", Host: fmt.Sprint("host", id), Port: 9092, SecurityProtocol: "PLAINTEXT"}},
			}))
		}
	}
	id := model.NewTopicID()
	commands = append(commands, command.Create(&command.CreateTopic{Name: "t", TopicId: id[:], Assignments: []*command.Assignment{
		{Replicas: []int32{1, 2, 3}, Leader: 1}, {Replicas: []int32{2, 3, 1}, Leader: 2},
	}}))
	if _, err := l.Propose(t.Context(), func(*image.Image) ([]*command.Command, error) { return commands, nil }); err != nil {
		t.Fatal(err)
	}
	return s
}

// member is a broker of a cluster whose active controller is broker 1.
func member(t *testing.T, id model.BrokerID, s *image.Store, f Forwarder) (*Broker, *fakeQuorum) {
	t.Helper()
	cfg, err := (config.Layers{}).Broker()
	if err != nil {
		t.Fatal(err)
	}
	q := &fakeQuorum{leader: 1}
	b, err := New(Deps{NodeID: id, Metadata: &fakeLog{s, id == 1}, Config: func() *config.Broker { return cfg }, Cluster: &Cluster{
		Forwarder: f, Quorum: q, Controller: func() model.BrokerID { return 1 },
		Inputs: func(im *image.Image) controller.Inputs {
			return controller.Inputs{Image: im, NodeID: id, NewTopicID: model.NewTopicID}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b, q
}

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
				if q.ClientID != "me" || q.Listener != "" {
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
		{"remove an observer", 3, 3, false, errNoVoter, nil},
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

// TestLeaderHints: who leads instead is named, with where it is reached by this listener (KIP-951).
func TestLeaderHints(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 1, s, nil)
	for _, tc := range []struct {
		err    error
		leader model.BrokerID
		host   string
	}{
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: 2, Epoch: 4}, 2, "host2"},
		{fmt.Errorf("wrapped: %w", &replica.LeaderError{Err: replica.ErrFencedEpoch, Leader: 3, Epoch: 4}), 3, "host3"},
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: 9, Epoch: 4}, 9, ""},
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: model.NoBroker, Epoch: 4}, model.NoBroker, ""},
		{replica.ErrNotLeader, model.NoBroker, ""},
		{nil, model.NoBroker, ""},
	} {
		l := currentLeader(tc.err)
		list := b.addEndpoint(b.addEndpoint(nil, l, "L"), l, "L")
		if (l == nil) != (tc.leader == model.NoBroker) || l != nil && (l.ID != tc.leader || l.Epoch != 4) {
			t.Errorf("%v: the leader is %+v", tc.err, l)
		}
		if (len(list) == 1) != (tc.host != "") || len(list) == 1 && (list[0].Host != tc.host || list[0].ID != tc.leader) {
			t.Errorf("%v: the endpoints are %+v", tc.err, list)
		}
		if other := b.addEndpoint(nil, l, "another listener"); len(other) > 0 {
			t.Errorf("%v: the endpoints of another listener are %+v", tc.err, other)
		}
	}
}

// TestReadReplica: a consumer reads in its rack if an in-sync replica is there and the leader is not (KIP-392).
func TestReadReplica(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 1, s, nil)
	id := s.Load().Topic("t").ID
	read := func(rack, listener string, partition int32) model.BrokerID {
		return b.readReplica(id, partition, rack, listener)
	}
	if got := read("b", "L", 0); got != 2 {
		t.Errorf("rack b is sent to %d, want 2", got)
	}
	for _, tc := range []struct {
		name, rack, listener string
		partition            int32
	}{
		{"the leader's own rack", "a", "L", 0}, {"a rack without replicas", "c", "L", 0}, {"another listener", "b", "M", 0},
		{"a partition that another broker leads", "b", "L", 1}, {"no such partition", "b", "L", 5},
	} {
		if got := read(tc.rack, tc.listener, tc.partition); got != model.NoBroker {
			t.Errorf("%s: sent to %d", tc.name, got)
		}
	}
	fence(t, s, 2)
	if got := read("b", "L", 0); got != 3 {
		t.Errorf("with 2 fenced, rack b is sent to %d, want 3", got)
	}
}

// fence takes a broker out of service and nothing else.
func fence(t *testing.T, s *image.Store, id model.BrokerID) {
	t.Helper()
	l := &fakeLog{store: s, active: true}
	if _, err := l.Propose(t.Context(), func(im *image.Image) ([]*command.Command, error) {
		return []*command.Command{command.Fence(id, im.Node(id).Epoch, true)}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestFencedBrokersAreOffline: clients are not sent to a broker out of service.
func TestFencedBrokersAreOffline(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 3, s, nil)
	if got := b.controller(s.Load(), "L"); got != 1 {
		t.Errorf("the controller is %d, want 1", got)
	}
	if got := b.controller(s.Load(), "M"); got != 3 {
		t.Errorf("the controller of a listener that it does not have is %d, want the broker that was asked", got)
	}
	fence(t, s, 1)
	if got := b.controller(s.Load(), "L"); got != 3 {
		t.Errorf("the controller, when it is out of service, is %d", got)
	}
	for _, tc := range []struct {
		listener  string
		version   int16
		partition int
		leader    model.BrokerID
		err       error
		offline   []int32
	}{
		{"L", 12, 0, model.NoBroker, errNoLeader, []int32{1}},
		{"L", 12, 1, 2, nil, []int32{1}},
		{"L", 0, 1, 2, errReplicaOffline, []int32{1}},
		{"M", 12, 1, model.NoBroker, errNoListener, []int32{2, 3, 1}},
		{"M", 5, 1, model.NoBroker, errNoLeader, []int32{2, 3, 1}},
	} {
		v := view{s.Load(), tc.listener, tc.version}
		p := s.Load().Topic("t").Partitions[tc.partition]
		leader, err := v.leader(p)
		if leader != tc.leader || !errors.Is(err, tc.err) || !reflect.DeepEqual(v.offline(p), tc.offline) {
			t.Errorf("%+v: got leader %d, %v, offline %v", tc, leader, err, v.offline(p))
		}
	}
}
