package group

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

// world is a shardtest.World with groups.
type world struct {
	*shardtest.World[*Machine]
	t       testing.TB
	config  Config
	m       *Machine
	now     time.Time
	hold    bool // the watermark stays where it is
	image   *image.Image
	out     strings.Builder
	written func(schema.Record)
	calls   []shard.Effect // that have left
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), config: Config{
		MinSessionMs: 6000, MaxSessionMs: 300_000, InitialDelay: 3 * time.Second, MaxSize: 100, MaxMetadataBytes: 16,
		Retention: time.Hour, SweepEvery: 10 * time.Minute,
	}}
	w.World = &shardtest.World[*Machine]{
		T: &w.t, Machine: &w.m, Now: &w.now, Image: &w.image, Hold: &w.hold, Out: &w.out,
		New: func() *Machine { return New(w.config) }, Decode: schema.Groups.Decode, Show: showEntry,
		Dump: func(m *Machine) string { return dump(m, w.m) },
		Left: func(e shard.Effect) { w.calls = append(w.calls, e) },
		Wrote: func(_ model.Offset, r schema.Record) {
			if w.written != nil {
				w.written(r)
			}
		},
	}
	withTopics(w, "t", "u")
	w.Begin()
	return w
}

var errRefused = shardtest.ErrRefused

// The World's, as scripts say it.
func (w *world) run(r shard.Result)                         { w.Run(r) }
func (w *world) end() model.Offset                          { return w.End() }
func (w *world) settle()                                    { w.Settle() }
func (w *world) refuse()                                    { w.Refuse() }
func (w *world) reload()                                    { w.Reload() }
func (w *world) advance(t time.Duration)                    { w.Advance(t) }
func (w *world) same() string                               { return w.Same() }
func (w *world) change(cs ...*command.Command) *image.Delta { return w.Change(cs...) }

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
