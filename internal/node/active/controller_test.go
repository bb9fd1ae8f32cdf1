package active_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/node/active"
	"chronik/internal/peer"
	"chronik/internal/quorum"
)

const cluster = "the-cluster"

// memory is a metadata log of one process, whose leadership tests turn.
type memory struct {
	mu      sync.Mutex
	store   *image.Store
	leading bool
	term    uint64
	deposed chan struct{} // nil: reads are confirmed at once; else they wait for it
	voters  int
	members []quorum.Replica // voters, in the place of so many unnamed ones
	before  quorum.Replica
	silence time.Duration
	gone    []quorum.Replica
	learned []quorum.Replica
	voting  []quorum.Replica
}

func newMemory() *memory {
	return &memory{store: image.NewStore(image.New(cluster)), leading: true, term: 2, voters: 1}
}

func (m *memory) Propose(_ context.Context, decide quorum.Decide) (*image.Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.leading {
		return nil, &quorum.NotControllerError{Leader: 9, Term: m.term}
	}
	im := m.store.Load()
	commands, err := decide(im)
	if err != nil || len(commands) == 0 {
		return im, err
	}
	next, _, err := image.Apply(im, commands, m.term, im.Index()+1)
	if err == nil {
		m.store.Publish(next)
	}
	return next, err
}

func (m *memory) Images() *image.Store  { return m.store }
func (m *memory) Done() <-chan struct{} { return nil }
func (m *memory) Err() error            { return nil }

func (m *memory) Leader() (quorum.Replica, bool, uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leading {
		return quorum.Replica{Node: 1}, true, m.term, true
	}
	return quorum.Replica{Node: 9}, true, m.term, false
}

func (m *memory) Predecessor() (quorum.Replica, time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.before, m.silence, m.leading && m.before != quorum.Replica{}
}

func (m *memory) Linearizable(context.Context) (*image.Image, error) {
	if m.deposed != nil {
		<-m.deposed
	}
	return m.store.Load(), nil
}

func (m *memory) Status(context.Context) (quorum.Status, error) {
	s := quorum.Status{Voters: make([]quorum.ReplicaStatus, m.voters)}
	for i, r := range m.members {
		s.Voters[i].Replica = r
	}
	return s, nil
}

func (m *memory) Supersede(_ context.Context, by quorum.Replica) error {
	m.gone = append(m.gone, by)
	return nil
}

func (m *memory) Learn(_ context.Context, r quorum.Replica) error {
	m.learned = append(m.learned, r)
	return nil
}

func (m *memory) Admit(_ context.Context, r quorum.Replica) error {
	m.voting = append(m.voting, r)
	return nil
}

func (m *memory) lead(leading bool, term uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leading, m.term = leading, term
}

// bench is a Controller at work.
type bench struct {
	*active.Controller
	t       *testing.T
	log     *memory
	reached map[model.BrokerID]string
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, log: newMemory(), reached: map[model.BrokerID]string{}}
	cfg, err := config.Layers{}.Broker()
	if err != nil {
		t.Fatal(err)
	}
	b.Controller = active.New(active.Options{Node: 1, Log: b.log, Config: func() *config.Broker { return cfg },
		Logger: slog.New(slog.DiscardHandler), Reached: func(r quorum.Replica, a string) { b.reached[r.Node] = a }})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	time.Sleep(time.Second) // virtual: the controller's first entry is there
	return b
}

func from(id model.BrokerID) peer.Caller { return peer.Caller{Node: id, ClusterID: cluster} }

func (b *bench) register(id model.BrokerID) model.BrokerEpoch {
	b.t.Helper()
	epoch, err := b.Register(b.t.Context(), from(id), controller.Registration{ClusterID: cluster, ID: id, CleanStop: true,
		Incarnation: image.UUID(model.NewTopicID()), Directory: image.UUID{byte(id)},
		Endpoints: []image.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 1, SecurityProtocol: "PLAINTEXT"}},
		Features:  controller.Inputs{}.Supported()})
	if err != nil {
		b.t.Fatalf("node %d: %v", id, err)
	}
	return epoch
}

func (b *bench) beat(id model.BrokerID, epoch model.BrokerEpoch) controller.HeartbeatReply {
	b.t.Helper()
	r, err := b.Heartbeat(b.t.Context(), from(id), controller.Heartbeat{ID: id, Epoch: int64(epoch), Applied: b.log.store.Load().Index()})
	if err != nil {
		b.t.Fatalf("node %d: %v", id, err)
	}
	return r
}

func (b *bench) fenced(id model.BrokerID) bool { return b.log.store.Load().Node(id).Fenced }

// bring registers nodes and has them in service.
func (b *bench) bring(ids ...model.BrokerID) map[model.BrokerID]model.BrokerEpoch {
	epochs := map[model.BrokerID]model.BrokerEpoch{}
	for _, id := range ids {
		epochs[id] = b.register(id)
		b.beat(id, epochs[id])
	}
	return epochs
}

func (b *bench) create(replicas ...int32) *image.Partition {
	b.t.Helper()
	_, err := b.log.Propose(b.t.Context(), func(im *image.Image) ([]*command.Command, error) {
		commands, answers := controller.CreateTopics(b.Inputs(im), []controller.NewTopic{{Name: "t", Partitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Replicas: replicas}}}}, false)
		return commands, answers[0].Err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.partition()
}

func (b *bench) partition() *image.Partition { return b.log.store.Load().Topic("t").Partitions[0] }

func TestFirstEntryFormsTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		if !b.log.store.Load().Clustered() {
			t.Fatal("the metadata are still those of a node alone")
		}
	})
}

func TestSilentNodesAreFencedAndTheirPartitionsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1, 2)
		if p := b.create(2, 1); p.Leader != 2 {
			t.Fatalf("leader %d", p.Leader)
		}
		for range 20 { // two seconds, in which node 2 says nothing
			time.Sleep(100 * time.Millisecond)
			b.beat(1, epochs[1])
		}
		if !b.fenced(2) || b.fenced(1) {
			t.Errorf("fenced: node 1 %v, node 2 %v; want only the silent one", b.fenced(1), b.fenced(2))
		}
		if p := b.partition(); p.Leader != 1 {
			t.Errorf("the partition is led by node %d", p.Leader)
		}
		if r := b.beat(2, epochs[2]); r.Fenced || b.fenced(2) {
			t.Error("a node that is heard of again stays fenced")
		}
	})
}

func TestNewTermGivesEveryoneASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1)
		b.log.lead(false, 3)
		_, err := b.Heartbeat(t.Context(), from(1), controller.Heartbeat{ID: 1, Epoch: int64(epochs[1])})
		var elsewhere *quorum.NotControllerError
		if !errors.As(err, &elsewhere) || elsewhere.Leader != 9 {
			t.Fatalf("a follower answers %v", err)
		}
		time.Sleep(5 * time.Second)
		b.log.lead(true, 4)
		time.Sleep(500 * time.Millisecond)
		if b.fenced(1) {
			t.Error("fenced for its silence under another controller")
		}
		time.Sleep(500 * time.Millisecond)
		if !b.fenced(1) {
			t.Error("not fenced after a session of silence")
		}
	})
}

// TestTheControllerBeforeIsNotWaitedForAnew: its session goes on from when it was heard last, if it is still the replica that is registered.
func TestTheControllerBeforeIsNotWaitedForAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1, 2)
		turn := func(term uint64, before quorum.Replica, silence time.Duration) {
			b.log.mu.Lock()
			b.log.before, b.log.silence = before, silence
			b.log.mu.Unlock()
			b.log.lead(false, term)
			time.Sleep(100 * time.Millisecond)
			b.log.lead(true, term+1)
		}
		beats := func(d time.Duration) {
			for range d / (50 * time.Millisecond) {
				time.Sleep(50 * time.Millisecond)
				b.beat(1, epochs[1])
			}
		}
		turn(3, quorum.Replica{Node: 2, Directory: image.UUID{9}}, time.Second)
		beats(450 * time.Millisecond)
		if b.fenced(2) {
			t.Error("fenced for the silence of a replica that it is not any more")
		}
		turn(5, quorum.Replica{Node: 2, Directory: image.UUID{2}}, time.Second)
		beats(100 * time.Millisecond)
		if b.fenced(2) {
			t.Error("fenced before it could be heard")
		}
		beats(350 * time.Millisecond)
		if !b.fenced(2) || b.fenced(1) {
			t.Errorf("fenced: node 1 %v, node 2 %v; want only the one that was silent before", b.fenced(1), b.fenced(2))
		}
	})
}

func TestDeposedControllerKeepsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1)
		b.log.deposed = make(chan struct{})
		answer := make(chan error)
		go func() {
			_, err := b.Heartbeat(t.Context(), from(1), controller.Heartbeat{ID: 1, Epoch: int64(epochs[1])})
			answer <- err
		}()
		synctest.Wait()
		b.log.lead(false, 3)
		close(b.log.deposed)
		if err := <-answer; !errors.Is(err, quorum.ErrNotController) {
			t.Errorf("a deposed controller answers a heartbeat with %v", err)
		}
	})
}

func TestSecondProcessIsRefusedWhileTheFirstLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.bring(2)
		_, err := b.Register(t.Context(), from(2), controller.Registration{ClusterID: cluster, ID: 2, Incarnation: image.UUID{7}, Directory: image.UUID{2},
			Endpoints: []image.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 1, SecurityProtocol: "PLAINTEXT"}}, Features: controller.Inputs{}.Supported()})
		var refusal *controller.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != controller.DuplicateBroker {
			t.Errorf("the second process hears %v", err)
		}
	})
}

func TestISRChangesAndResignations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1, 2)
		p := b.create(2, 1)
		topic := b.log.store.Load().Topic("t").ID
		change := controller.ISRChange{Topic: topic, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, ISR: []controller.Member{{ID: 2, Epoch: -1}}}
		out, err := b.AlterPartitions(t.Context(), from(2), epochs[2], []controller.ISRChange{change, {Topic: topic, Partition: 5}})
		if err != nil || len(out) != 2 || out[0].Err != nil || len(out[0].State.ISR) != 1 || out[1].Err == nil {
			t.Fatalf("%+v, %v", out, err)
		}
		if _, err := b.AlterPartitions(t.Context(), from(2), epochs[2]+1, []controller.ISRChange{change}); err == nil {
			t.Error("a proposal of another broker epoch was taken (R1)")
		}
		change.PartitionEpoch++
		change.ISR = append(change.ISR, controller.Member{ID: 1, Epoch: int64(epochs[1])})
		if out, err = b.AlterPartitions(t.Context(), from(2), epochs[2], []controller.ISRChange{change}); err != nil || out[0].Err != nil {
			t.Fatalf("%+v, %v", out, err)
		}
		errs, err := b.Resign(t.Context(), from(2), epochs[2], []controller.Resignation{{Topic: topic, LeaderEpoch: b.partition().LeaderEpoch}})
		if err != nil || errs[0] != nil || b.partition().Leader != 1 {
			t.Errorf("%v, %v; the leader is node %d", errs, err, b.partition().Leader)
		}
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		for _, voters := range []int{1, 5} {
			b.log.voters = voters
			if err := b.Join(t.Context(), from(4), peer.JoinRequest{Directory: image.UUID{4}, Address: "four:1", Vote: true}); err != nil {
				t.Fatal(err)
			}
		}
		if len(b.log.voting) != 1 || len(b.log.learned) != 1 || b.reached[4] != "four:1" {
			t.Errorf("voting %v, learning %v, reached %v", b.log.voting, b.log.learned, b.reached)
		}
	})
}

// TestANewDirectoryTakesThePlaceOfALostOne: the replica that a node had before goes only when nobody is heard of that may have it.
func TestANewDirectoryTakesThePlaceOfALostOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.bring(1, 2)
		b.log.voters, b.log.members = 2, []quorum.Replica{{Node: 1, Directory: image.UUID{1}}, {Node: 2, Directory: image.UUID{2}}}
		join := func(directory byte) error {
			return b.Join(t.Context(), from(2), peer.JoinRequest{Directory: image.UUID{directory}, Address: "two:1", Vote: true})
		}
		var refusal *controller.Refusal
		if err := join(22); !errors.As(err, &refusal) || refusal.Reason != controller.DuplicateBroker || len(b.log.gone)+len(b.log.voting) > 0 {
			t.Errorf("beside a process that lives: %v; %v are gone, %v vote", err, b.log.gone, b.log.voting)
		}
		time.Sleep(2 * time.Second) // its session ends, and it is fenced
		if err := join(22); err != nil || len(b.log.gone) != 1 || len(b.log.voting) != 1 {
			t.Errorf("after the session of the one before: %v; %v are gone, %v vote", err, b.log.gone, b.log.voting)
		}
		if err := join(2); err != nil || len(b.log.gone) != 1 {
			t.Errorf("the same directory again: %v; %v are gone", err, b.log.gone)
		}
	})
}

func TestPreferredLeadersComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		epochs := b.bring(1, 2)
		p := b.create(2, 1)
		if _, err := b.Resign(t.Context(), from(2), epochs[2], []controller.Resignation{{Topic: b.log.store.Load().Topic("t").ID, LeaderEpoch: p.LeaderEpoch}}); err != nil {
			t.Fatal(err)
		}
		p = b.partition()
		change := controller.ISRChange{Topic: b.log.store.Load().Topic("t").ID, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
			ISR: []controller.Member{{ID: 1, Epoch: -1}, {ID: 2, Epoch: int64(epochs[2])}}}
		if out, err := b.AlterPartitions(t.Context(), from(1), epochs[1], []controller.ISRChange{change}); err != nil || out[0].Err != nil {
			t.Fatalf("%+v, %v", out, err)
		}
		for range 3100 { // more than leader.imbalance.check.interval.seconds
			time.Sleep(100 * time.Millisecond)
			b.beat(1, epochs[1])
			b.beat(2, epochs[2])
		}
		if p := b.partition(); p.Leader != 2 {
			t.Errorf("the leader is node %d, the preferred one is 2 and in sync", p.Leader)
		}
	})
}
