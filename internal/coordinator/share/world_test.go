package share

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/shardtest"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// world is a shardtest.World with share partitions' state, whose log can lose its beginning.
type world struct {
	*shardtest.World[*Machine]
	t      testing.TB
	config Config
	m      *Machine
	now    time.Time
	hold   bool // the watermark stays where it is
	image  *image.Image
	out    strings.Builder
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), image: image.New("c"), config: Config{UpdatesPerSnapshot: 2, UpkeepEvery: time.Minute}}
	w.World = &shardtest.World[*Machine]{
		T: &w.t, Machine: &w.m, Now: &w.now, Image: &w.image, Hold: &w.hold, Out: &w.out,
		New: func() *Machine { return New(w.config) }, Decode: schema.Shares.Decode, Dump: dump,
		Show: func(e shard.Entry) string { return show(e.Record) },
	}
	w.Change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	w.Change(newTopic("t"), newTopic("u"))
	w.Begin()
	return w
}

// newTopic has two partitions and an ID that begins with its name.
func newTopic(name string) *command.Command {
	id := topicID(name)
	a := &command.Assignment{Replicas: []int32{1}, Leader: 1}
	return command.Create(&command.CreateTopic{Name: name, TopicId: id[:], Assignments: []*command.Assignment{a, a}})
}

func topicID(name string) (id model.TopicID) {
	copy(id[:1], name)
	return id
}

func (w *world) deleteTopic(name string) { w.Tell(command.Delete(w.image.Topic(name).ID)) }

// prune deletes what the machine does not need.
func (w *world) prune() { w.Prune(w.m.Needed()) }

// The World's, as scripts say it.
func (w *world) run(r shard.Result)                         { w.Run(r) }
func (w *world) settle()                                    { w.Settle() }
func (w *world) refuse()                                    { w.Refuse() }
func (w *world) reload()                                    { w.Reload() }
func (w *world) advance(t time.Duration)                    { w.Advance(t) }
func (w *world) same() string                               { return w.Same() }
func (w *world) change(cs ...*command.Command) *image.Delta { return w.Change(cs...) }

func dump(m *Machine) string {
	var b strings.Builder
	for _, k := range m.keys(func(Key, *state) bool { return true }) {
		s := m.newest(k)
		fmt.Fprintf(&b, "%s/%s-%d %s snapshot=%d@%d+%d last=%d\n", k.Group, k.TopicID, k.Partition, showState(s.State), s.snapshotEpoch, s.snapshot, s.updates, s.at)
	}
	return b.String()
}

func showState(s State) string {
	return fmt.Sprintf("epoch=%d leader=%d start=%d complete=%d%s", s.StateEpoch, s.LeaderEpoch, s.Start, s.Complete, showBatches(s.Batches))
}

var letters = map[DeliveryState]string{Available: "available", Acknowledged: "acknowledged", Archived: "archived"}

func showBatches(bs []Batch) string {
	var out strings.Builder
	for _, b := range bs {
		fmt.Fprintf(&out, " %d-%d:%s*%d", b.First, b.Last, letters[b.State], b.Deliveries)
	}
	return out.String()
}

func show(r schema.Record) string {
	name := func(k Key) string { return fmt.Sprintf("%s/%c-%d", k.Group, k.TopicID[0], k.Partition) }
	switch r := r.(type) {
	case *schema.ShareStateSnapshot:
		v := r.Value
		if v == nil {
			return name(r.Key) + " deleted"
		}
		bs, _ := fromRecord(v.StateBatches)
		return fmt.Sprintf("%s snapshot %d epoch=%d leader=%d start=%d complete=%d%s", name(r.Key), v.SnapshotEpoch, v.StateEpoch, v.LeaderEpoch, v.StartOffset, v.DeliveryCompleteCount, showBatches(bs))
	case *schema.ShareStateUpdate:
		v := r.Value
		bs, _ := fromRecord(v.StateBatches)
		return fmt.Sprintf("%s update %d leader=%d start=%d complete=%d%s", name(r.Key), v.SnapshotEpoch, v.LeaderEpoch, v.StartOffset, v.DeliveryCompleteCount, showBatches(bs))
	}
	return fmt.Sprintf("%T %+v", r, r)
}
