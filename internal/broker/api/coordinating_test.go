package api

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/config"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/mem"
	"chronik/internal/memnet"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// memoryGroups are coordinators over logs in memory, one for each partition of __consumer_offsets: what is appended is settled at once, or
// when the test says so.
type memoryGroups struct {
	mu     sync.Mutex
	images *image.Store
	parts  []*memoryPartition
	hold   bool  // appended records are not settled
	refuse error // what the log says instead of accepting records
	absent error // what is said to every request
	timer  *time.Timer
	disk   chan struct{} // not nil: callers of Wait wait for it
}

type memoryPartition struct {
	machine *group.Machine
	shard   *shard.Shard
	end     model.Offset
}

func newMemoryGroups(images *image.Store, config group.Config, partitions int) *memoryGroups {
	g := &memoryGroups{images: images}
	for range partitions {
		p := &memoryPartition{machine: group.New(config)}
		p.shard = shard.New(shard.Options{Topic: schema.Groups, Machine: p.machine, MaxBatchBytes: 1 << 20, Patience: 5 * time.Second}, 0)
		p.shard.Serve(time.Now(), images.Load())
		g.parts = append(g.parts, p)
	}
	g.work()
	return g
}

func (g *memoryGroups) Ask(id string, decide func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.absent != nil {
		refuse(g.absent)
		return
	}
	g.do(g.parts[schema.Partition(id, int32(len(g.parts)))], decide, refuse)
}

func (g *memoryGroups) Wait(id string, decide func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	g.Ask(id, decide, refuse)
	g.mu.Lock()
	disk := g.disk
	g.mu.Unlock()
	if disk != nil {
		<-disk
	}
}

func (g *memoryGroups) At(partition int32, decide func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.do(g.parts[partition], decide, refuse)
}

func (g *memoryGroups) Each(decide func(*group.Machine, time.Time) shard.Result, refuse func(error)) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.parts {
		if g.absent != nil {
			refuse(g.absent)
			continue
		}
		g.do(p, decide, refuse)
	}
	return len(g.parts)
}

func (g *memoryGroups) do(p *memoryPartition, decide func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	p.shard.Do(time.Now(), func(now time.Time) shard.Result { return decide(p.machine, now) }, refuse)
	g.work()
}

// work takes to the logs what was decided, and sets the timer.
func (g *memoryGroups) work() {
	var next time.Time
	for _, p := range g.parts {
		for {
			b, ok := p.shard.Take()
			if !ok {
				break
			}
			if g.refuse != nil {
				p.shard.Refused(g.refuse)
				continue
			}
			p.shard.Appended(b.Base)
			p.end = b.Bytes.LastOffset() + 1
		}
		if !g.hold {
			p.shard.Settle(p.end)
		}
		if at, ok := p.shard.Next(); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if g.timer != nil {
		g.timer.Stop()
	}
	if !next.IsZero() {
		g.timer = time.AfterFunc(time.Until(next), g.tick)
	}
}

func (g *memoryGroups) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.parts {
		p.shard.Tick(time.Now(), true)
	}
	g.work()
}

// change has the logs behave otherwise from now on.
func (g *memoryGroups) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	g.work()
}

// end ends all coordinators: others lead their partitions.
func (g *memoryGroups) end() {
	g.change(func() {
		for _, p := range g.parts {
			p.shard.End()
		}
	})
	g.timer.Stop()
}

// groupWorld is a broker that coordinates groups, with a network.
type groupWorld struct {
	*Broker
	t      *testing.T
	groups *memoryGroups
	store  *image.Store
	net    *memnet.Network
	server *server.Server
	budget *mem.Budget // of requests' memory
}

var groupConfig = group.Config{
	MinSessionMs: 6000, MaxSessionMs: 1_800_000, InitialDelay: 3 * time.Second, MaxSize: 100, MaxMetadataBytes: 100,
	Retention: time.Hour, SweepEvery: 10 * time.Minute,
}

// withGroups runs a test with a broker that coordinates groups, in virtual time. There are the topics t with two partitions, and offsets'
// with four.
func withGroups(t *testing.T, f func(w *groupWorld)) {
	synctest.Test(t, func(t *testing.T) {
		store := image.NewStore(image.New("cluster"))
		w := &groupWorld{t: t, store: store, net: memnet.New()}
		w.commit(command.Feature(command.MetadataVersion, command.VersionCluster), command.Add(&command.AddNode{
			NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: append(make([]byte, 15), 1),
			Endpoints: []*command.Endpoint{{Listener: "L", Host: "host1", Port: 9092, SecurityProtocol: "PLAINTEXT"}},
		}))
		w.createTopic("t", 2)
		w.createTopic("__consumer_offsets", 4)
		w.groups = newMemoryGroups(store, groupConfig, 4)
		cfg, err := (config.Layers{}).Broker()
		if err != nil {
			t.Fatal(err)
		}
		w.Broker, err = New(Deps{NodeID: 1, Metadata: &fakeLog{store, true}, Config: func() *config.Broker { return cfg }, Groups: w.groups})
		if err != nil {
			t.Fatal(err)
		}
		w.budget = mem.NewBudget(256 << 20)
		w.server = server.New(server.Options{
			Handler: w.Broker, Table: w.Table(), Pool: mem.NewPool(w.budget), Log: slog.New(slog.DiscardHandler),
		})
		l, err := w.net.Listen("10.0.0.1:9092")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- w.server.Serve("L", l) }()
		defer func() {
			w.shutdown()
			<-served
			w.groups.end()
			if n := w.budget.InUse(); n != 0 {
				t.Errorf("%d bytes of requests are still held", n)
			}
		}()
		f(w)
	})
}

func (w *groupWorld) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		w.t.Errorf("the server does not stop in time: %v", err)
	}
}

func (w *groupWorld) commit(commands ...*command.Command) {
	l := &fakeLog{store: w.store, active: true}
	if _, err := l.Propose(w.t.Context(), func(*image.Image) ([]*command.Command, error) { return commands, nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *groupWorld) createTopic(name string, partitions int) model.TopicID {
	id := model.NewTopicID()
	create := &command.CreateTopic{Name: name, TopicId: id[:]}
	for range partitions {
		create.Assignments = append(create.Assignments, &command.Assignment{Replicas: []int32{1}, Leader: 1})
	}
	w.commit(command.Create(create))
	return id
}

// groupClient is one connection.
type groupClient struct {
	net.Conn
	w *groupWorld
}

func (w *groupWorld) client() *groupClient {
	nc, err := w.net.Dial(context.Background(), "10.0.0.2", "10.0.0.1:9092")
	if err != nil {
		w.t.Fatal(err)
	}
	return &groupClient{nc, w}
}

func (c *groupClient) send(version int16, req kmsg.Request) {
	req.SetVersion(version)
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("client")).AppendRequest(nil, req, 7)); err != nil {
		c.w.t.Fatal(err)
	}
}

// receive reads the answer; an error that is not the client's own ends the test.
func (c *groupClient) receive(req kmsg.Request) kmsg.Response {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.w.t.Fatalf("no answer to %s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		c.w.t.Fatal(err)
	}
	resp := req.ResponseKind()
	body = body[4:]
	if resp.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.w.t.Fatal(err)
	}
	return resp
}

// say sends a request and reads the answer.
func say[Resp kmsg.Response](c *groupClient, version int16, req kmsg.Request) Resp {
	c.send(version, req)
	return c.receive(req).(Resp)
}

// answered is the answer that comes of a request that was sent before.
func answered[Resp kmsg.Response](c *groupClient, req kmsg.Request) Resp {
	return c.receive(req).(Resp)
}

func wantError(t testing.TB, what string, got int16, want *kerr.Error) {
	t.Helper()
	if want == nil && got != 0 || want != nil && got != want.Code {
		t.Errorf("%s: got %v, want %v", what, kerr.ErrorForCode(got), want)
	}
}

func joinRequest(id, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = id, member, "consumer", 10_000, 60_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte("metadata")
	req.Protocols = append(req.Protocols, p)
	return req
}

// member joins a group that is empty, and is its leader with an assignment.
func (w *groupWorld) member(c *groupClient, id string) *kmsg.JoinGroupResponse {
	w.t.Helper()
	joined := say[*kmsg.JoinGroupResponse](c, 3, joinRequest(id, ""))
	wantError(w.t, "joining", joined.ErrorCode, nil)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.Generation, sync.MemberID = id, joined.Generation, joined.MemberID
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("all of it")}}
	synced := say[*kmsg.SyncGroupResponse](c, 3, sync)
	wantError(w.t, "syncing", synced.ErrorCode, nil)
	if string(synced.MemberAssignment) != "all of it" {
		w.t.Errorf("the assignment is %q", synced.MemberAssignment)
	}
	return joined
}

// groupRequests are one request of each API about the group g, well made, by a member that does not exist.
func groupRequests() []kmsg.Request {
	commit, fetch, list := commitRequest("g", "t", 0, 5), fetchRequest("g", "t", 0), kmsg.NewPtrListGroupsRequest()
	beat, leave, sync := kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrSyncGroupRequest()
	beat.Group, leave.Group, sync.Group = "g", "g", "g"
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}
	sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	describe, del, offsets := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDeleteGroupsRequest(), kmsg.NewPtrOffsetDeleteRequest()
	describe.Groups, del.Groups, offsets.Group = []string{"g"}, []string{"g"}, "g"
	offsets.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
	return []kmsg.Request{commit, fetch, list, joinRequest("g", "m"), beat, leave, sync, describe, del, offsets}
}

func commitRequest(id, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = id
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, offset, 3, kmsg.StringPtr("note")
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	return req
}

// fetchRequest asks in the forms of all versions.
func fetchRequest(id, topic string, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = id, []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: partitions}}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = id, []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: partitions}}
	req.Groups = append(req.Groups, g)
	return req
}

// TestRefusalsOfCoordinators: what a coordinator is refused with becomes a code that clients of each API understand.
func TestRefusalsOfCoordinators(t *testing.T) {
	withGroups(t, func(w *groupWorld) {
		id := w.store.Load().Topic("t").ID
		c := w.client()
		for _, tc := range []struct {
			err       error
			want      *kerr.Error
			heartbeat *kerr.Error
			fetch     *kerr.Error
			list      *kerr.Error
		}{
			{shard.ErrNotCoordinator, kerr.NotCoordinator, kerr.NotCoordinator, kerr.NotCoordinator, nil},
			{shard.ErrLoading, kerr.CoordinatorLoadInProgress, nil, kerr.CoordinatorLoadInProgress, kerr.CoordinatorLoadInProgress},
			{shard.ErrTimedOut, kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorNotAvailable},
			{shard.ErrTooLarge, kerr.UnknownServerError, kerr.UnknownServerError, kerr.UnknownServerError, kerr.UnknownServerError},
			{errors.New("?"), kerr.UnknownServerError, kerr.UnknownServerError, kerr.UnknownServerError, kerr.UnknownServerError},
		} {
			w.groups.change(func() { w.groups.absent = tc.err })
			for _, req := range groupRequests() {
				want := tc.want
				switch req := req.(type) {
				case *kmsg.HeartbeatRequest:
					want = tc.heartbeat
				case *kmsg.ListGroupsRequest:
					want = tc.list
				case *kmsg.OffsetFetchRequest:
					want = tc.fetch
					req.Groups[0].Topics[0].TopicID = id
				case *kmsg.OffsetCommitRequest:
					req.Topics[0].TopicID = id
				}
				full, _ := fullRange(req.Key())
				for v := full[0]; v <= full[1]; v++ {
					c.send(v, req)
					got := codes(reflect.ValueOf(c.receive(req)), map[int16]bool{})
					delete(got, 0)
					if want == nil && len(got) > 0 || want != nil && (len(got) != 1 || !got[want.Code]) {
						t.Errorf("%v, %s v%d: codes %v, want %v", tc.err, kmsg.NameForKey(req.Key()), v, got, want)
					}
				}
			}
		}
	})
}
