package share

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// world is a log that can lose its beginning, its watermark, timers and a machine on it.
type world struct {
	t                testing.TB
	config           Config
	m                *Machine
	now              time.Time
	log              []entry // the first one is at start
	start, watermark model.Offset
	hold             bool // the watermark stays where it is
	waiting          []waiting
	timers           map[shard.TimerKey]time.Time
	image            *image.Image
	out              strings.Builder
	asked, answered  int
}

// entry is a record as it is on disk.
type entry struct{ key, value []byte }

type waiting struct {
	reply func(error)
	needs model.Offset
}

var errRefused = errors.New("refused")

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), timers: make(map[shard.TimerKey]time.Time), image: image.New("c")}
	w.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	for _, name := range []string{"t", "u"} {
		w.change(newTopic(name))
	}
	w.config = Config{UpdatesPerSnapshot: 2, UpkeepEvery: time.Minute}
	w.m = New(w.config)
	w.run(w.m.Loaded(w.now, w.image))
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

func (w *world) change(cs ...*command.Command) *image.Delta {
	im, d, err := image.Apply(w.image, cs, 1, w.image.Index()+1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.image = im
	return d
}

func (w *world) deleteTopic(name string) {
	w.run(w.m.OnImage(w.now, w.image, w.change(command.Delete(w.image.Topic(name).ID))))
}

func (w *world) end() model.Offset { return w.start + model.Offset(len(w.log)) }

// run does what a shard does with a result.
func (w *world) run(r shard.Result) {
	needs := r.Sees
	for _, rec := range r.Records {
		key, value, err := schema.Encode(rec)
		if err != nil {
			w.t.Fatal(err)
		}
		needs = w.end()
		w.log = append(w.log, entry{key, value})
		w.apply(w.m, needs)
	}
	for _, c := range r.Timers {
		if delete(w.timers, c.Key); !c.At.IsZero() {
			w.timers[c.Key] = c.At
		}
	}
	if needs >= w.end() {
		w.t.Fatalf("a reply waits for record %d, the log ends at %d", needs, w.end())
	}
	if r.Reply != nil {
		w.asked++
		w.waiting = append(w.waiting, waiting{r.Reply, needs})
	}
	if !w.hold {
		w.settle()
	}
	w.release()
}

func (w *world) apply(m *Machine, off model.Offset) {
	e := w.log[off-w.start]
	rec, err := schema.Shares.Decode(e.key, e.value)
	if err == nil {
		err = m.Apply(off, shard.Entry{Producer: model.NoProducer, Record: rec})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if m == w.m {
		fmt.Fprintf(&w.out, "%d %s\n", off, show(rec))
	}
}

func (w *world) answer(x waiting, err error) {
	w.answered++
	x.reply(err)
}

func (w *world) release() {
	left := w.waiting
	w.waiting = nil
	for _, x := range left {
		if x.needs < w.watermark {
			w.answer(x, nil)
		} else {
			w.waiting = append(w.waiting, x)
		}
	}
}

func (w *world) settle() {
	w.watermark = w.end()
	w.m.Settle(w.watermark)
	w.release()
}

// refuse takes back what is not settled.
func (w *world) refuse() {
	left := w.waiting
	w.waiting, w.log = nil, w.log[:w.watermark-w.start]
	w.m.Revert(w.watermark)
	for _, x := range left {
		w.answer(x, errRefused)
	}
}

// prune deletes what the machine does not need.
func (w *world) prune() {
	to := w.m.Needed()
	if to < w.start || to > w.watermark {
		w.t.Fatalf("the machine needs records from %d on, the log begins at %d and is settled up to %d", to, w.start, w.watermark)
	}
	w.log, w.start = w.log[to-w.start:], to
}

func (w *world) load() *Machine {
	m := New(w.config)
	m.Settle(w.end())
	for off := w.start; off < w.end(); off++ {
		w.apply(m, off)
	}
	return m
}

// reload is a fail-over: what is settled stays.
func (w *world) reload() {
	left := w.waiting
	w.waiting, w.log = nil, w.log[:w.watermark-w.start]
	for _, x := range left {
		w.answer(x, ErrNotCoordinator)
	}
	w.m.End()
	w.m, w.timers = w.load(), make(map[shard.TimerKey]time.Time)
	w.run(w.m.Loaded(w.now, w.image))
}

// advance lets time pass, and fires timers at their times.
func (w *world) advance(t time.Duration) {
	to := w.now.Add(t)
	for {
		due := slices.SortedFunc(maps.Keys(w.timers), func(a, b shard.TimerKey) int {
			return cmp.Or(w.timers[a].Compare(w.timers[b]), a.Compare(b))
		})
		if len(due) == 0 || w.timers[due[0]].After(to) {
			break
		}
		if at := w.timers[due[0]]; at.After(w.now) {
			w.now = at
		}
		delete(w.timers, due[0])
		w.run(w.m.OnTimer(w.now, due[0]))
	}
	w.now = to
}

// same tells how a machine that is loaded from the log differs from the one that wrote it.
func (w *world) same() string {
	if a, b := dump(w.m), dump(w.load()); a != b {
		return fmt.Sprintf("in memory:\n%s\nloaded:\n%s", a, b)
	}
	return ""
}

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
