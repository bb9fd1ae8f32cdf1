package sharing

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// rig is a broker's share partitions over real replicas and a real coordinator's machine, which can be out of reach, in virtual time.
type rig struct {
	*Shares
	t        *testing.T
	replicas *replica.Set
	commit   *wal.Committer
	state    *coordinator
	epoch    atomic.Int32
	config   Config
	memory   int64
}

const partitions = 2

var (
	topic   = model.TopicID{7}
	errTest = errors.New("the test wants it")
)

// inRig runs a test with a broker that leads both partitions of a topic.
func inRig(t *testing.T, test func(g *rig)) {
	t.Helper()
	inRigWith(t, 64<<20, test)
}

func inRigWith(t *testing.T, memory int64, test func(g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(1)
		g := &rig{t: t, commit: wal.NewCommitter(wal.CommitterOptions{FS: fs}), state: newCoordinator(t), memory: memory, config: Config{
			Config: sharepartition.Config{LockDuration: 30 * time.Second, MaxDeliveries: 5, MaxInFlight: 2000, Renew: true},
		}}
		var err error
		g.replicas, err = replica.NewSet(replica.Env{Node: 1, FS: fs, Disks: []replica.Disk{{Dir: "/data", Committer: g.commit}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		g.start()
		g.lead(1)
		defer func() {
			g.Stop()
			if n := g.Stats().Bytes; n != 0 {
				t.Errorf("%d bytes are held after the end", n)
			}
			if err := g.replicas.Close(); err != nil {
				t.Error(err)
			}
			g.commit.Close()
		}()
		test(g)
	})
}

// start makes the Shares, as a broker does that starts.
func (g *rig) start() {
	g.Shares = New(Options{Node: 1, State: g.state, Config: func(string) Config { return g.config }, Sessions: func() int { return 10 }, Memory: g.memory, Log: slog.New(slog.DiscardHandler)})
}

// lead has the broker lead in an epoch.
func (g *rig) lead(epoch model.LeaderEpoch) {
	before := model.LeaderEpoch(g.epoch.Swap(int32(epoch)))
	d := new(image.Delta)
	for n := range int32(partitions) {
		state := func(e model.LeaderEpoch) *image.Partition {
			return &image.Partition{Replicas: []model.BrokerID{1}, ISR: []model.BrokerID{1}, Leader: 1, LeaderEpoch: e, LastKnownLeader: model.NoBroker}
		}
		c := wal.DefaultConfig()
		g.replicas.Ensure(replica.Assignment{Partition: model.TopicPartition{Topic: "t", Partition: n}, TopicID: topic, State: state(epoch),
			Settings: &replica.Settings{Log: c, Policy: replica.Policy{MaxMessageBytes: 8 << 20, SegmentBytes: 1 << 30}, MinISR: 1}})
		d.Partitions = append(d.Partitions, image.PartitionChange{Topic: &image.Topic{ID: topic, Name: "t"}, Partition: n, Old: state(before), New: state(epoch)})
	}
	g.Follow(nil, d)
	synctest.Wait()
}

// replica finds a partition.
func (g *rig) replica(n int32) *replica.Replica {
	return g.replicas.Get(model.TopicPartition{Topic: "t", Partition: n})
}

// pass lets virtual time pass.
func pass(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }

// waiter is an append's.
type waiter chan error

func (w waiter) Done(err error) { w <- err }

// put appends a batch of so many records with values of so many bytes.
func (g *rig) put(n int32, records, size int) {
	g.t.Helper()
	b := record.NewBuilder(record.Options{})
	for range records {
		b.Add(time.Now().UnixMilli(), nil, make([]byte, size))
	}
	batch, err := b.Build()
	if err != nil {
		g.t.Fatal(err)
	}
	g.append(n, batch)
}

func (g *rig) append(n int32, batch record.Batch) {
	g.t.Helper()
	w := make(waiter, 1)
	if _, err := g.replica(n).Append(replica.Append{Batch: batch, Acks: -1, Waiter: w, Verified: true}); err != nil {
		g.t.Fatal(err)
	}
	if err := <-w; err != nil {
		g.t.Fatal(err)
	}
}

// Lead finds a partition, as a broker's handlers do.
func (g *rig) Lead(p sharesession.Partition) (Leadership, error) {
	if p.TopicID != topic || p.Partition >= partitions {
		return Leadership{}, errTest
	}
	return Leadership{g.replica(p.Partition), model.LeaderEpoch(g.epoch.Load())}, nil
}

// member is one of group g, over a connection of its own.
type member struct {
	g     *rig
	key   sharesession.Key
	conn  sharesession.Connection
	epoch int32
	query FetchRequest // what is asked for
	wait  time.Duration
}

func (g *rig) member(name string, partitions ...int32) *member {
	m := &member{g: g, key: sharesession.Key{Group: "g", Member: name}, conn: sharesession.Connection(name[0]), wait: time.Second}
	m.query = FetchRequest{MinBytes: 1, MaxBytes: 50 << 20, MaxRecords: 500, BatchSize: 500}
	for _, p := range partitions {
		m.query.Session.Add = append(m.query.Session.Add, part(p))
	}
	return m
}

func part(n int32) sharesession.Partition {
	return sharesession.Partition{TopicID: topic, Partition: n}
}

// fetch fetches, with acknowledgements.
func (m *member) fetch(acks ...Acknowledgement) (*Answer, error) {
	q := m.query
	q.Session.Key, q.Session.Connection, q.Session.Epoch = m.key, m.conn, m.epoch
	q.Session.Acknowledges = len(acks) > 0
	q.Lead, q.Acknowledge, q.Deadline = m.g.Lead, acks, time.Now().Add(m.wait)
	if m.epoch != 0 {
		q.Session.Add = nil
	}
	m.epoch++
	return m.g.Fetch(context.Background(), q)
}

// must fetches, and returns what was acquired of all partitions.
func (m *member) must(acks ...Acknowledgement) (out []sharepartition.Range) {
	m.g.t.Helper()
	a, err := m.fetch(acks...)
	if err != nil {
		m.g.t.Fatal(err)
	}
	defer a.Release()
	for _, f := range a.Fetched {
		if f.Err != nil {
			m.g.t.Fatalf("partition %d: %v", f.Partition.Partition, f.Err)
		}
		out = append(out, f.Acquired...)
		m.g.holds(f)
	}
	for _, o := range a.Acknowledged {
		if o.Err != nil {
			m.g.t.Fatalf("an acknowledgement was refused: %v", o.Err)
		}
	}
	return out
}

// holds checks that what was sent are the batches with what was acquired, and no others.
func (g *rig) holds(f Fetched) {
	g.t.Helper()
	batches, err := parse(f.Records)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, b := range batches {
		used := false
		for _, r := range f.Acquired {
			used = used || r.First <= b.Last && b.Base <= r.Last
		}
		if !used {
			g.t.Errorf("a batch from %d to %d was sent, acquired are %v", b.Base, b.Last, f.Acquired)
		}
	}
	for _, r := range f.Acquired {
		for o := r.First; o <= r.Last; o++ {
			found := false
			for _, b := range batches {
				found = found || b.Base <= o && o <= b.Last
			}
			if !found {
				g.t.Fatalf("record %d was acquired and not sent", o)
			}
		}
	}
}

// ack is what a member says of records of a partition.
func ack(n int32, first, last model.Offset, types ...sharepartition.AckType) Acknowledgement {
	return Acknowledgement{Partition: part(n), Batches: []sharepartition.AckBatch{{First: first, Last: last, Types: types}}}
}

// acknowledge sends a ShareAcknowledge with one acknowledgement.
func (m *member) acknowledge(a Acknowledgement) error {
	out, err := m.g.Acknowledge(context.Background(), m.key, m.epoch, []Acknowledgement{a})
	m.epoch++
	if err != nil {
		return err
	}
	return out[0].Err
}

// leave ends the member's session.
func (m *member) leave() {
	m.g.t.Helper()
	if _, err := m.g.Acknowledge(context.Background(), m.key, -1, nil); err != nil {
		m.g.t.Fatal(err)
	}
	m.epoch = 0
	synctest.Wait()
}

// coordinator is the machine of the state, whose log takes everything at once.
type coordinator struct {
	t  testing.TB
	mu sync.Mutex
	m  *share.Machine
	at model.Offset

	fails  error       // what is asked fails with that
	held   chan func() // answers go there instead, if it is not nil
	writes int
	delay  func() time.Duration
}

func newCoordinator(t testing.TB) *coordinator {
	c := &coordinator{t: t, m: share.New(share.Config{UpdatesPerSnapshot: 5, UpkeepEvery: time.Hour})}
	im := image.New("c")
	create := &command.CreateTopic{Name: "t", TopicId: topic[:]}
	for range partitions {
		create.Assignments = append(create.Assignments, &command.Assignment{Replicas: []int32{1}, Leader: 1})
	}
	for i, cmd := range []*command.Command{command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}), command.Create(create)} {
		var err error
		if im, _, err = image.Apply(im, []*command.Command{cmd}, 1, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	c.run(c.m.Loaded(time.Now(), im))
	for n := range int32(partitions) {
		c.begin(n)
	}
	return c
}

// begin has a partition begin.
func (c *coordinator) begin(n int32) {
	c.run(c.m.Initialize(time.Now(), share.InitializeRequest{Key: share.Key{Group: "g", TopicID: topic, Partition: n}, Start: model.NoOffset}, func(err error) {
		if err != nil {
			c.t.Error(err)
		}
	}))
}

func (c *coordinator) run(r shard.Result) {
	for _, rec := range r.Records {
		if err := c.m.Apply(c.at, shard.Entry{Producer: model.NoProducer, Record: rec}); err != nil {
			c.t.Error(err)
		}
		c.at++
	}
	c.m.Settle(c.at)
	if r.Reply != nil {
		r.Reply(nil)
	}
}

// answer gives an answer now or when the test wants it.
func (c *coordinator) answer(f func()) {
	switch {
	case c.held != nil:
		c.held <- f
	case c.delay != nil:
		time.AfterFunc(c.delay(), f)
	default:
		f()
	}
}

// Read implements State.
func (c *coordinator) Read(k share.Key, epoch int32, answer func(share.State, error)) {
	c.mu.Lock()
	state, err := share.State{}, c.fails
	if err == nil {
		c.run(c.m.Read(time.Now(), share.ReadRequest{Key: k, LeaderEpoch: epoch}, func(s share.State, e error) { state, err = s, e }))
	}
	c.mu.Unlock()
	c.answer(func() { answer(state, err) })
}

// Write implements State.
func (c *coordinator) Write(k share.Key, w share.WriteRequest, answer func(error)) {
	c.mu.Lock()
	err := c.fails
	if w.Key = k; err == nil {
		c.run(c.m.Write(time.Now(), w, func(e error) { err = e }))
	}
	c.writes++
	c.mu.Unlock()
	c.answer(func() { answer(err) })
}

// fail has everything fail that is asked from now on; nil: no more.
func (c *coordinator) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = err
}
