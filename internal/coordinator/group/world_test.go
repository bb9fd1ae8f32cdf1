package group

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
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// world is a log, its watermark, timers and a machine on it.
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
	out       strings.Builder
	written   func(schema.Record)
	calls     []shard.Effect // that have left
}

// entry is a record as it is on disk, or a marker.
type entry struct {
	key, value []byte
	producer   shard.Producer
	marker     *record.Marker
}

type waiting struct {
	reply   func(error) // nil: nobody asked
	effects []shard.Effect
	needs   model.Offset
}

func (x *waiting) answer(err error) {
	if x.reply != nil {
		x.reply(err)
	}
}

var errRefused = errors.New("refused")

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), timers: make(map[shard.TimerKey]time.Time)}
	withTopics(w, "t", "u")
	w.config = Config{
		MinSessionMs: 6000, MaxSessionMs: 300_000, InitialDelay: 3 * time.Second, MaxSize: 100, MaxMetadataBytes: 16,
		Retention: time.Hour, SweepEvery: 10 * time.Minute,
	}
	w.m = New(w.config)
	w.run(w.m.Loaded(w.now, w.image))
	return w
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
		x := entry{key: key, value: value, producer: shard.Producer{ID: model.NoProducer}}
		if r.Txn != nil {
			x.producer = *r.Txn
		}
		w.log = append(w.log, x)
		w.apply(w.m, needs)
		if w.written != nil {
			w.written(rec)
		}
	}
	if r.Marker != nil {
		needs = w.end()
		w.log = append(w.log, entry{marker: r.Marker, producer: shard.Producer{ID: r.Marker.Producer, Epoch: r.Marker.ProducerEpoch}})
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
	if r.Reply != nil || len(r.Effects) > 0 {
		w.waiting = append(w.waiting, waiting{r.Reply, r.Effects, needs})
	}
	if !w.hold {
		w.watermark = w.end()
		w.m.Settle(w.watermark)
	}
	w.release()
}

func (w *world) apply(m *Machine, off model.Offset) {
	x := w.log[off]
	e := shard.Entry{Producer: x.producer.ID, Epoch: x.producer.Epoch, Marker: x.marker}
	var err error
	if e.Marker == nil {
		e.Record, err = schema.Groups.Decode(x.key, x.value)
	}
	if err == nil {
		err = m.Apply(off, e)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if m == w.m {
		fmt.Fprintf(&w.out, "%d %s\n", off, showEntry(e))
	}
}

func (w *world) release() {
	left := w.waiting
	w.waiting = nil
	for _, x := range left {
		if x.needs < w.watermark {
			x.answer(nil)
			w.calls = append(w.calls, x.effects...)
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

// refuse takes back what is not settled. Replies that wait for it fail.
func (w *world) refuse() {
	left := w.waiting
	w.waiting, w.log = nil, w.log[:w.watermark]
	w.m.Revert(w.watermark)
	for _, x := range left {
		x.answer(errRefused)
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
	left := w.waiting
	w.waiting, w.log = nil, w.log[:w.watermark]
	for _, x := range left {
		x.answer(ErrNotCoordinator)
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

// same tells how a machine that is loaded from the records differs from the one that wrote them.
func (w *world) same() string {
	if a, b := dump(w.m, w.m), dump(w.load(), w.m); a != b {
		return fmt.Sprintf("in memory:\n%s\nloaded:\n%s", a, b)
	}
	return ""
}

// dump is what is replicated, and how groups look that do not rebalance in the machine that is running.
func dump(m, running *Machine) string {
	var b strings.Builder
	for _, id := range m.ids() {
		g := m.lookup(id)
		if g == nil {
			continue
		}
		saved, ok := m.saved.Get(id)
		c := m.view(g)
		if ok {
			fmt.Fprintf(&b, "%s: %s\n", id, showGroup(saved))
		}
		if g.isConsumer() {
			b.WriteString(id + ":\n" + dumpConsumer(g.consumer))
		} else if g.isStreams() {
			b.WriteString(id + " streams:\n" + dumpStreams(g.streams))
		} else if g.isShare() {
			fmt.Fprintf(&b, "%s shares %s\n%s", id, showRead(g.share.shares.at()), dumpConsumer(g.share))
		} else if now := running.view(running.open(id)); !now.reverted && ok && (now.state == Stable || now.state == Empty) {
			fmt.Fprintf(&b, "  %s generation=%d leader=%s %s\n", c.state, c.generation, c.leader, showDescription(c.describe(id)))
		}
		for _, tp := range g.partitions() {
			o, _ := g.offsets.Get(tp)
			fmt.Fprintf(&b, "  %s %+v\n", tp, *o)
		}
		for _, k := range g.pending.all() {
			o, _ := g.pending.offsets.Get(k)
			fmt.Fprintf(&b, "  %s %+v of producer %d\n", k.TopicPartition, *o, k.producer)
		}
	}
	return b.String()
}

func showEntry(e shard.Entry) string {
	switch {
	case e.Marker != nil:
		return fmt.Sprintf("%v of %d/%d", e.Marker.Type, e.Producer, e.Epoch)
	case e.Producer != model.NoProducer:
		return fmt.Sprintf("%s in a transaction of %d/%d", show(e.Record), e.Producer, e.Epoch)
	}
	return show(e.Record)
}

func show(r schema.Record) string {
	switch r := r.(type) {
	case *schema.OffsetCommit:
		at := fmt.Sprintf("offset %s %s-%d", r.Key.Group, r.Key.Topic, r.Key.Partition)
		if r.Value == nil {
			return at + " deleted"
		}
		return fmt.Sprintf("%s = %d %q", at, r.Value.Offset, r.Value.Metadata)
	case *schema.GroupMetadata:
		if r.Value == nil {
			return "group " + r.Key.Group + " deleted"
		}
		return "group " + r.Key.Group + " " + showGroup(r.Value)
	}
	if out := showStreams(r); out != "" {
		return out
	}
	return showConsumer(r)
}

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func showGroup(v *schema.ClassicGroup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "type=%s generation=%d protocol=%s leader=%s", v.ProtocolType, v.Generation, text(v.Protocol), text(v.Leader))
	for i := range v.Members {
		r := &v.Members[i]
		fmt.Fprintf(&b, " %s[%s]", r.MemberID, readable(r.Assignment))
	}
	return b.String()
}

func showDescription(d Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s type=%s protocol=%s", d.State, d.ProtocolType, d.Protocol)
	for _, mem := range d.Members {
		fmt.Fprintf(&b, " %s{%s %s %s}[%s]", mem.Member, text(mem.Instance), mem.ClientID, mem.ClientHost, readable(mem.Assignment))
	}
	return b.String()
}

// topics is what a consumer says that is subscribed to them.
func topics(names ...string) []byte {
	b := []byte{0, 0, 0, 0, 0, byte(len(names))}
	for _, n := range names {
		b = append(append(b, 0, byte(len(n))), n...)
	}
	return append(b, 0, 0, 0, 0)
}
