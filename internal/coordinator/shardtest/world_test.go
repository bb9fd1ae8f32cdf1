package shardtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// tally is a machine that remembers the offsets that were committed last, and when it was told what.
type tally struct {
	heard []string
	was   []model.Offset // by record
}

func (m *tally) hear(format string, args ...any) {
	m.heard = append(m.heard, fmt.Sprintf(format, args...))
}

func (m *tally) Apply(off model.Offset, e shard.Entry) error {
	if int(off) != len(m.was) {
		return fmt.Errorf("record %d comes after %d others", off, len(m.was))
	}
	m.was = append(m.was, e.Record.(*schema.OffsetCommit).Value.Offset)
	return nil
}
func (m *tally) Settle(to model.Offset)   { m.hear("settle %d", to) }
func (m *tally) Revert(from model.Offset) { m.hear("revert %d", from); m.was = m.was[:from] }
func (m *tally) End()                     { m.hear("end") }
func (m *tally) Loaded(now time.Time, _ *image.Image) shard.Result {
	return shard.Result{Sees: model.NoOffset, Timers: []shard.TimerChange{{Key: shard.TimerKey{Group: "loaded"}, At: now.Add(time.Hour)}}}
}
func (m *tally) OnTimer(now time.Time, k shard.TimerKey) shard.Result {
	m.hear("timer %s at %v", k.Group, now.Sub(time.UnixMilli(0)))
	return shard.Result{Sees: model.NoOffset}
}
func (m *tally) OnImage(time.Time, *image.Image, *image.Delta) shard.Result {
	return shard.Result{Sees: model.NoOffset}
}

type toy struct {
	*World[*tally]
	t     testing.TB
	m     *tally
	now   time.Time
	image *image.Image
	hold  bool
	out   strings.Builder
	left  []shard.Effect
}

func newToy(t *testing.T) *toy {
	y := &toy{t: t, now: time.UnixMilli(0), image: image.New("c")}
	y.World = &World[*tally]{
		T: &y.t, Machine: &y.m, Now: &y.now, Image: &y.image, Hold: &y.hold, Out: &y.out,
		New: func() *tally { return new(tally) }, Decode: schema.Groups.Decode, Show: func(shard.Entry) string { return "a record" },
		Dump: func(m *tally) string { return fmt.Sprint(m.was) }, Left: func(e shard.Effect) { y.left = append(y.left, e) },
	}
	y.Begin()
	return y
}

// commit decides to write an offset, and returns where its answer will be.
func (y *toy) commit(n model.Offset, effect string) *[]error {
	answers := new([]error)
	y.Run(shard.Result{
		Records: []schema.Record{&schema.OffsetCommit{Key: schema.OffsetKey{Group: "g", Topic: "t"}, Value: &schema.Offset{Offset: n, ExpireTimestamp: schema.NoTime}}},
		Reply:   func(err error) { *answers = append(*answers, err) }, Effects: []shard.Effect{effect},
	})
	return answers
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestWhatIsNotSettledReachesNobody: neither answers nor effects leave before, and what is refused or lost fails once.
func TestWhatIsNotSettledReachesNobody(t *testing.T) {
	y := newToy(t)
	want(t, "settled at once", *y.commit(1, "a"), "[<nil>]")
	y.hold = true
	second, third := y.commit(2, "b"), y.commit(3, "c")
	want(t, "held back", fmt.Sprint(*second, *third, y.left), "[] [] [a]")
	y.Settle()
	want(t, "settled", fmt.Sprint(*second, *third, y.left), "[<nil>] [<nil>] [a b c]")
	refused := y.commit(4, "d")
	y.Refuse()
	want(t, "refused", *refused, []error{ErrRefused})
	lost := y.commit(5, "e")
	y.Reload()
	want(t, "lost", *lost, []error{shard.ErrNotCoordinator})
	want(t, "effects", y.left, "[a b c]")
	want(t, "loaded", y.m.was, "[1 2 3]")
	want(t, "asked and answered", fmt.Sprint(y.Asked, y.Answered), "5 5")
	want(t, "written", y.out.String(), "0 a record\n1 a record\n2 a record\n3 a record\n3 a record\n")
}

// TestTimersFireInOrder: at their times, those of one time by their keys; one that is set to the past fires a moment later.
func TestTimersFireInOrder(t *testing.T) {
	y := newToy(t)
	at := func(group string, d time.Duration) shard.TimerChange {
		return shard.TimerChange{Key: shard.TimerKey{Group: group}, At: y.now.Add(d)}
	}
	y.Run(shard.Result{Sees: model.NoOffset, Timers: []shard.TimerChange{at("c", time.Second), at("b", 2*time.Second), at("a", 2*time.Second), at("gone", 1), at("past", -1)}})
	y.Run(shard.Result{Sees: model.NoOffset, Timers: []shard.TimerChange{{Key: shard.TimerKey{Group: "gone"}}}})
	y.Advance(2 * time.Second)
	var fired []string
	for _, h := range y.m.heard {
		if strings.HasPrefix(h, "timer") {
			fired = append(fired, h)
		}
	}
	want(t, "fired", strings.Join(fired, ", "), "timer past at 1ns, timer c at 1s, timer a at 2s, timer b at 2s")
	want(t, "now", y.now.Sub(time.UnixMilli(0)), "2s")
	want(t, "left", len(y.Timers), 1)
}

// TestSameFindsWhatIsOnlyInMemory: a machine that changes without a record is found out.
func TestSameFindsWhatIsOnlyInMemory(t *testing.T) {
	y := newToy(t)
	y.commit(1, "a")
	want(t, "the same", y.Same(), "")
	y.m.was[0] = 9
	if y.Same() == "" {
		t.Error("a change that no record says was not found")
	}
}

// TestDecisionsThatWaited are made right after the one that they waited for.
func TestDecisionsThatWaited(t *testing.T) {
	y := newToy(t)
	var order []string
	say := func(s string) func(error) { return func(error) { order = append(order, s) } }
	y.Run(shard.Result{Sees: model.NoOffset, Reply: say("first"), Next: []shard.Decision{
		{Decide: func(time.Time) shard.Result { return shard.Result{Sees: model.NoOffset, Reply: say("second")} }},
		{Decide: func(time.Time) shard.Result { return shard.Result{Sees: model.NoOffset, Reply: say("third")} }},
	}})
	want(t, "order", order, "[first second third]")
}
