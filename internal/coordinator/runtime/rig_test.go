package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// rig is a broker's coordinator over real replicas, which fail as the test wants, in virtual time.
type rig struct {
	*Coordinator[*tally]
	t        *testing.T
	replicas *replica.Set
	commit   *wal.Committer
	image    *image.Image
	log      *buffer
	leapt    atomic.Bool  // the wall clock
	stood    atomic.Int64 // nanoseconds for which the process has stood still
	limits   Limits
	effects  chan shard.Effect

	mu       sync.Mutex
	flaky    map[int32]*flaky
	machines []*tally // all that were made
}

const topicName = "__consumer_offsets"

var errTest = errors.New("the test wants it")

// inRig runs a test with a broker that leads so many partitions.
func inRig(t *testing.T, partitions int, test func(g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := openRig(t, crashfs.New(1), partitions)
		defer g.close()
		g.Start(g.image)
		synctest.Wait()
		test(g)
	})
}

// again starts a broker over the disk and with the metadata of one that was closed.
func (g *rig) again(fs vfs.FS) *rig {
	next := openRig(g.t, fs, 0)
	next.image = g.image
	next.ensure()
	next.Start(next.image)
	synctest.Wait()
	return next
}

// openRig starts a broker over a disk. Its coordinator is not started.
func openRig(t *testing.T, fs vfs.FS, partitions int) *rig {
	g := &rig{t: t, log: new(buffer), limits: Limits{Patience: 5 * time.Second, LoadBytes: 1 << 20}, flaky: make(map[int32]*flaky),
		effects: make(chan shard.Effect, 10)}
	g.commit = wal.NewCommitter(wal.CommitterOptions{FS: fs})
	logger := slog.New(slog.NewTextHandler(g.log, nil))
	var err error
	g.replicas, err = replica.NewSet(replica.Env{Node: 1, FS: fs, Disks: []replica.Disk{{Dir: "/data", Committer: g.commit}}, Now: time.Now, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	g.image = image.New("c")
	g.apply(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	if partitions > 0 {
		g.apply(g.create(1, partitions))
	}
	g.Coordinator = New(Options[*tally]{
		Topic: schema.Groups, Node: 1, Log: logger, Machine: g.machine, Configure: func(m *tally) { m.turned++ }, Partition: g.partition,
		Effect: func(_ Source[*tally], e shard.Effect) { g.effects <- e },
		Limits: func() Limits { return g.limits }, WallClockTrusted: func() bool { return !g.leapt.Load() }, Loaders: 2,
		Now: func() time.Time { return time.Now().Add(time.Duration(g.stood.Load())) },
	})
	return g
}

func (g *rig) close() {
	g.Stop()
	if err := g.replicas.Close(); err != nil {
		g.t.Error(err)
	}
	g.commit.Close()
	if g.t.Failed() {
		g.t.Log(g.log.String())
	}
}

func (g *rig) machine() *tally {
	m := newTally()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.machines = append(g.machines, m)
	return m
}

// newest is the machine that was made last.
func (g *rig) newest() *tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.machines[len(g.machines)-1]
}

func (g *rig) partition(tp model.TopicPartition) Partition {
	r := g.replicas.Get(tp)
	if r == nil {
		return nil
	}
	return flawed{r, g.faults(tp.Partition)}
}

func (g *rig) faults(partition int32) *flaky {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flaky[partition] == nil {
		g.flaky[partition] = new(flaky)
	}
	return g.flaky[partition]
}

func (g *rig) create(id byte, partitions int) *command.Command {
	t := &command.CreateTopic{Name: topicName, TopicId: append([]byte{id}, make([]byte, 15)...)}
	for range partitions {
		t.Assignments = append(t.Assignments, &command.Assignment{Replicas: []int32{1}, Leader: 1})
	}
	return command.Create(t)
}

// apply changes the metadata, and brings the replicas to it.
func (g *rig) apply(cs ...*command.Command) *image.Delta {
	im, d, err := image.Apply(g.image, cs, 1, g.image.Index()+1)
	if err != nil {
		g.t.Fatal(err)
	}
	g.image = im
	for _, t := range d.TopicsDeleted {
		for n := range t.Partitions {
			g.replicas.Remove(model.TopicPartition{Topic: t.Name, Partition: int32(n)})
		}
	}
	g.ensure()
	return d
}

// ensure brings the replicas to the metadata.
func (g *rig) ensure() {
	if t := g.image.Topic(topicName); t != nil {
		for n, p := range t.Partitions {
			g.replicas.Ensure(replica.Assignment{Partition: model.TopicPartition{Topic: topicName, Partition: int32(n)}, TopicID: t.ID, State: p,
				Settings: &replica.Settings{Log: wal.DefaultConfig(), MinISR: 1,
					Policy: replica.Policy{MaxMessageBytes: 1 << 20, SegmentBytes: 1 << 30, BeforeMaxMs: math.MaxInt64, AfterMaxMs: 3_600_000}}})
		}
	}
}

// change changes the metadata, and has the coordinator follow.
func (g *rig) change(cs ...*command.Command) {
	g.t.Helper()
	d := g.apply(cs...)
	g.Follow(g.image, d)
}

// elect begins another leader epoch in a partition; nobody leads it if it is not this broker.
func (g *rig) elect(partition int32, here bool) {
	g.t.Helper()
	t := g.image.Topic(topicName)
	leader := int32(model.NoBroker)
	if here {
		leader = 1
	}
	g.change(command.Lead(&command.SetPartitionLeader{
		TopicId: t.ID[:], Partition: partition, ExpectedPartitionEpoch: t.Partitions[partition].PartitionEpoch, Leader: leader, Isr: []int32{1},
	}))
}

// answer is what a request came to.
type answer struct {
	n   model.Offset
	err error
}

// pending is a request that was sent.
type pending chan answer

func (p pending) done(n model.Offset, err error) { p <- answer{n, err} } // room for two: a second answer is an error

// add and read ask.
func (g *rig) add(name string) pending {
	p := make(pending, 2)
	g.Ask(name, func(m *tally, _ time.Time) shard.Result { return m.add(name, p.done) }, func(err error) { p.done(0, err) })
	return p
}

// addAndWait is add for who may be made to wait for the disk.
func (g *rig) addAndWait(name string) pending {
	p := make(pending, 2)
	g.Wait(name, func(m *tally, _ time.Time) shard.Result { return m.add(name, p.done) }, func(err error) { p.done(0, err) })
	return p
}

func (g *rig) read(name string) pending {
	p := make(pending, 2)
	g.Ask(name, func(m *tally, _ time.Time) shard.Result { return m.read(name, p.done) }, func(err error) { p.done(0, err) })
	return p
}

// is waits for the one answer.
func (p pending) is(t *testing.T, n model.Offset, err error) {
	t.Helper()
	synctest.Wait()
	select {
	case a := <-p:
		if !errors.Is(a.err, err) || err == nil && a.n != n {
			t.Errorf("answered %d, %v; want %d, %v", a.n, a.err, n, err)
		}
	default:
		t.Errorf("no answer; want %d, %v", n, err)
		return
	}
	if len(p) > 0 {
		t.Errorf("answered twice, then with %v", <-p)
	}
}

// waits checks that there is no answer yet.
func (p pending) waits(t *testing.T) {
	t.Helper()
	if synctest.Wait(); len(p) > 0 {
		t.Errorf("answered %v already", <-p)
	}
}

// buffer is a log that many goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// keyOf is a name that a partition, of so many, coordinates.
func keyOf(partition, of int32) string {
	for i := 0; ; i++ {
		if k := fmt.Sprint("key", i); schema.Partition(k, of) == partition {
			return k
		}
	}
}
