package txn

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

// world is a log, its watermark, timers, producer IDs and a machine.
type world struct {
	t         testing.TB
	config    Config
	m         *Machine
	now       time.Time
	log       []entry
	watermark model.Offset
	hold      bool // the watermark stays where it is
	waiting   []waiting
	timers    map[shard.TimerKey]time.Time
	image     *image.Image
	ids       model.ProducerID // the next one
	asking    []NeedProducerID // who waits for one
	dry       bool             // there is none
	sent      []*Markers       // in the order of their effects
	out       strings.Builder
	onSend    func(*Markers)
	onWrite   func(model.Offset, *schema.TransactionLog)
}

// entry is a record as it is on disk.
type entry struct{ key, value []byte }

type waiting struct {
	reply   func(error)
	effects []shard.Effect
	needs   model.Offset
}

var errRefused = errors.New("refused")

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), timers: make(map[shard.TimerKey]time.Time), ids: 100}
	w.image = image.New("c")
	w.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	w.change(newTopic("t", 1), newTopic("u", 2))
	w.config = Config{MaxTimeoutMs: 60_000, Expiration: time.Hour, SweepEvery: 10 * time.Minute, Version: V2}
	w.m = New(w.config)
	w.run(w.m.Loaded(w.now, w.image))
	return w
}

// change applies commands to the metadata.
func (w *world) change(cs ...*command.Command) *image.Delta {
	im, d, err := image.Apply(w.image, cs, 1, w.image.Index()+1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.image = im
	return d
}

func newTopic(name string, id byte) *command.Command {
	return command.Create(&command.CreateTopic{
		Name: name, TopicId: slices.Concat([]byte{id}, make([]byte, 15)),
		Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}, {Replicas: []int32{1}, Leader: 1}},
	})
}

func (w *world) end() model.Offset { return model.Offset(len(w.log)) }

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
		if w.onWrite != nil {
			w.onWrite(needs, rec.(*schema.TransactionLog))
		}
	}
	for _, c := range r.Timers {
		if delete(w.timers, c.Key); !c.At.IsZero() {
			w.timers[c.Key] = c.At
			if !c.At.After(w.now) {
				w.timers[c.Key] = w.now.Add(1)
			}
		}
	}
	if needs >= w.end() {
		w.t.Fatalf("a reply waits for record %d, the log ends at %d", needs, w.end())
	}
	w.waiting = append(w.waiting, waiting{r.Reply, r.Effects, needs})
	if !w.hold {
		w.watermark = w.end()
		w.m.Settle(w.watermark)
	}
	w.release()
	for _, n := range r.Next {
		w.run(n.Decide(w.now))
	}
}

func (w *world) apply(m *Machine, off model.Offset) {
	rec, err := schema.Transactions.Decode(w.log[off].key, w.log[off].value)
	if err == nil {
		err = m.Apply(off, shard.Entry{Producer: model.NoProducer, Record: rec})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if m == w.m {
		r := rec.(*schema.TransactionLog)
		fmt.Fprintf(&w.out, "%d %s %s\n", off, r.Key.TransactionalID, show(r.Value))
	}
}

func (w *world) release() {
	left := w.waiting
	w.waiting = nil
	for _, x := range left {
		if x.needs >= w.watermark {
			w.waiting = append(w.waiting, x)
			continue
		}
		if x.reply != nil {
			x.reply(nil)
		}
		for _, e := range x.effects {
			w.effect(e)
		}
	}
	w.give()
}

func (w *world) effect(e shard.Effect) {
	switch e := e.(type) {
	case *Markers:
		w.sent = append(w.sent, e)
		if w.onSend != nil {
			w.onSend(e)
		}
		what := map[bool]string{true: "commit", false: "abort"}[e.Commit]
		fmt.Fprintf(&w.out, "markers %s: %s %s v%d to %s\n", e.TransactionalID, what, showProducer(e.Producer), e.Version, join(e.Partitions))
	case NeedProducerID:
		w.asking = append(w.asking, e)
	default:
		w.t.Fatalf("what is %T?", e)
	}
}

// give gives producer IDs to who waits for one, if there are any.
func (w *world) give() {
	for len(w.asking) > 0 && !w.dry {
		e := w.asking[0]
		w.asking = w.asking[1:]
		w.ids++
		w.run(e.Resume(w.now, w.ids-1))
	}
}

func (w *world) settle() {
	w.watermark = w.end()
	w.m.Settle(w.watermark)
	w.release()
}

// refuse takes back what is not settled. Replies that wait for it fail.
func (w *world) refuse() {
	left := w.waiting
	w.waiting, w.log = nil, w.log[:w.watermark]
	w.m.Revert(w.watermark)
	for _, x := range left {
		if x.reply != nil {
			x.reply(errRefused)
		}
	}
}

// load is another machine on the log.
func (w *world) load() *Machine {
	m := New(w.config)
	m.Settle(w.end())
	for off := range w.end() {
		w.apply(m, off)
	}
	return m
}

// reload is a fail-over: what is settled stays, who waits is sent away.
func (w *world) reload() {
	left, asking := w.waiting, w.asking
	w.waiting, w.asking, w.log = nil, nil, w.log[:w.watermark]
	for _, x := range left {
		if x.reply != nil {
			x.reply(ErrNotCoordinator)
		}
	}
	for _, e := range asking {
		e.Refuse(ErrNotCoordinator)
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
		w.now = w.timers[due[0]]
		delete(w.timers, due[0])
		w.run(w.m.OnTimer(w.now, due[0]))
	}
	w.now = to
}

// deleteTopic deletes a topic, and creates another one of its name at once.
func (w *world) deleteTopic(name string, again byte) {
	cs := []*command.Command{command.Delete(w.image.Topic(name).ID)}
	if again != 0 {
		cs = append(cs, newTopic(name, again))
	}
	d := w.change(cs...)
	w.run(w.m.OnImage(w.now, w.image, d))
}

// same tells how a machine that is loaded from the records differs from the one that wrote them.
func (w *world) same() string {
	if a, b := dump(w.m), dump(w.load()); a != b {
		return fmt.Sprintf("in memory:\n%s\nloaded:\n%s", a, b)
	}
	return ""
}

func dump(m *Machine) string {
	var b strings.Builder
	for _, id := range m.ids() {
		t, _ := m.txns.Get(id)
		fmt.Fprintf(&b, "%s %s at %d\n", id, show(&t.Transaction), t.at)
	}
	return b.String()
}

func show(v *schema.Transaction) string {
	if v == nil {
		return "deleted"
	}
	out := fmt.Sprintf("%v %s", v.Status, showProducer(Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch}))
	if v.PreviousProducerID != v.ProducerID {
		out += fmt.Sprintf(" previous=%d", v.PreviousProducerID)
	}
	if v.NextProducerID != model.NoProducer {
		out += fmt.Sprintf(" next=%d", v.NextProducerID)
	}
	if v.StartTimestamp != schema.NoTime {
		out += fmt.Sprintf(" start=%d", v.StartTimestamp)
	}
	if v.Partitions != nil {
		out += fmt.Sprintf(" [%s]", join(unpack(v.Partitions)))
	}
	return fmt.Sprintf("%s v%d", out, v.ClientVersion)
}

func showProducer(p Producer) string { return fmt.Sprintf("%d/%d", p.ID, p.Epoch) }

func join(tps []model.TopicPartition) string {
	var out []string
	for _, tp := range tps {
		out = append(out, tp.String())
	}
	return strings.Join(out, ",")
}
