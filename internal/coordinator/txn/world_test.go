package txn

import (
	"fmt"
	"slices"
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

// world is a shardtest.World with transactions, and with producer IDs.
type world struct {
	*shardtest.World[*Machine]
	t       testing.TB
	config  Config
	m       *Machine
	now     time.Time
	hold    bool // the watermark stays where it is
	image   *image.Image
	out     strings.Builder
	ids     model.ProducerID // the next one
	asking  []NeedProducerID // who waits for one
	dry     bool             // there is none
	sent    []*Markers       // in the order of their effects
	onSend  func(*Markers)
	onWrite func(model.Offset, *schema.TransactionLog)
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, now: time.UnixMilli(1_000_000), ids: 100, image: image.New("c"),
		config: Config{MaxTimeoutMs: 60_000, Expiration: time.Hour, SweepEvery: 10 * time.Minute, Version: V2},
	}
	w.World = &shardtest.World[*Machine]{
		T: &w.t, Machine: &w.m, Now: &w.now, Image: &w.image, Hold: &w.hold, Out: &w.out,
		New: func() *Machine { return New(w.config) }, Decode: schema.Transactions.Decode, Show: showEntry, Dump: dump,
		Left: w.effect, Freed: w.give, Ending: w.refuseIDs,
		Wrote: func(off model.Offset, r schema.Record) {
			if w.onWrite != nil {
				w.onWrite(off, r.(*schema.TransactionLog))
			}
		},
	}
	w.Change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	w.Change(newTopic("t", 1), newTopic("u", 2))
	w.Begin()
	return w
}

func newTopic(name string, id byte) *command.Command {
	return command.Create(&command.CreateTopic{
		Name: name, TopicId: slices.Concat([]byte{id}, make([]byte, 15)),
		Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}, {Replicas: []int32{1}, Leader: 1}},
	})
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

// refuseIDs sends away who waits for one.
func (w *world) refuseIDs() {
	asking := w.asking
	w.asking = nil
	for _, e := range asking {
		e.Refuse(ErrNotCoordinator)
	}
}

// deleteTopic deletes a topic, and creates another one of its name at once.
func (w *world) deleteTopic(name string, again byte) {
	cs := []*command.Command{command.Delete(w.image.Topic(name).ID)}
	if again != 0 {
		cs = append(cs, newTopic(name, again))
	}
	w.Tell(cs...)
}

var errRefused = shardtest.ErrRefused

// The World's, as scripts say it.
func (w *world) run(r shard.Result)                         { w.Run(r) }
func (w *world) settle()                                    { w.Settle() }
func (w *world) refuse()                                    { w.Refuse() }
func (w *world) reload()                                    { w.Reload() }
func (w *world) advance(t time.Duration)                    { w.Advance(t) }
func (w *world) same() string                               { return w.Same() }
func (w *world) change(cs ...*command.Command) *image.Delta { return w.Change(cs...) }

func showEntry(e shard.Entry) string {
	r := e.Record.(*schema.TransactionLog)
	return r.Key.TransactionalID + " " + show(r.Value)
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
