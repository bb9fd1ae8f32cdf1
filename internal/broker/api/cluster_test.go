package api

import (
	"context"
	"fmt"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
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
		Forwarder: f, Quorum: q, Controller: func() model.BrokerID { return 1 }, Withdrawn: func() bool { return false },
		Inputs: func(im *image.Image) controller.Inputs {
			return controller.Inputs{Image: im, NodeID: id, NewTopicID: model.NewTopicID}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b, q
}
