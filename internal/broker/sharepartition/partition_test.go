package sharepartition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

var plain = Config{LockDuration: 10 * time.Second, MaxDeliveries: 5, MaxInFlight: 1000}

// led is a world with a leader, a log of batches of some sizes, and the first start written.
func led(t *testing.T, c Config, sizes ...int) *world {
	w := newWorld(t, c)
	for _, n := range sizes {
		w.append(0, n, LogBatch{Producer: model.NoProducer})
	}
	w.lead()
	w.save()
	return w
}

func show(a Acquisition) string {
	var out []string
	for _, r := range a.Ranges {
		out = append(out, fmt.Sprintf("%d-%d*%d", r.First, r.Last, r.Deliveries))
	}
	return strings.Join(out, " ")
}

func (w *world) want(what string, r Request, want string) {
	w.t.Helper()
	if r.Member == "" {
		r.Member = "m"
	}
	if r.BatchSize == 0 {
		r.BatchSize = 1000
	}
	if got := show(w.fetch(r, 100, false)); got != want {
		w.t.Errorf("%s: acquired %q, want %q", what, got, want)
	}
}

// ack acknowledges and writes, and wants an answer that wraps an error.
func (w *world) ack(member string, want error, batches ...AckBatch) {
	w.t.Helper()
	answered := false
	w.p.Acknowledge(w.now, member, batches, func(err error) {
		if answered = true; !errors.Is(err, want) {
			w.t.Errorf("%+v: %v, want %v", batches, err, want)
		}
	})
	if w.save(); !answered {
		w.t.Errorf("%+v: no answer", batches)
	}
}

func all(first, last model.Offset, types ...AckType) AckBatch { return AckBatch{first, last, types} }

func TestAcquireByBatches(t *testing.T) {
	w := led(t, plain, 10, 10, 10)
	w.want("up to the end of the batch", Request{MaxRecords: 5}, "0-9*1")
	w.want("ranges as the batch size says", Request{MaxRecords: 20, BatchSize: 10}, "10-19*1 20-29*1")
	w.want("nothing is left", Request{MaxRecords: 20}, "")
}

func TestAcquireByRecords(t *testing.T) {
	w := led(t, plain, 10, 10)
	w.want("no more than that", Request{MaxRecords: 5, RecordLimit: true}, "0-4*1")
	w.want("from within the batch", Request{MaxRecords: 7, RecordLimit: true}, "5-11*1")
	w.ack("m", nil, all(2, 3, Release), all(6, 6, Release))
	w.want("what was released comes first", Request{MaxRecords: 4, RecordLimit: true}, "2-3*2 6-6*2 12-12*1")
}

func TestMaxInFlight(t *testing.T) {
	c := plain
	c.MaxInFlight = 10
	w := led(t, c, 8, 8, 8)
	w.want("one batch over the limit", Request{MaxRecords: 100}, "0-15*1")
	if _, ok := w.p.NextFetch(); ok {
		t.Error("there is more to give")
	}
	w.ack("m", nil, all(3, 3, Release))
	w.want("what is released still", Request{MaxRecords: 100}, "3-3*2")
	w.ack("m", nil, all(0, 10, Accept))
	w.want("the start has moved", Request{MaxRecords: 2, RecordLimit: true}, "16-17*1")
}

func TestAcknowledge(t *testing.T) {
	w := led(t, plain, 10, 10)
	w.want("all", Request{MaxRecords: 100}, "0-19*1")
	w.ack("n", ErrInvalidRecordState, all(0, 0, Accept))
	w.ack("m", ErrInvalidRequest, all(0, 20, Accept))
	w.ack("m", ErrInvalidRequest, all(5, 4, Accept))
	w.ack("m", ErrInvalidRequest, all(0, 4, Accept), all(4, 5, Accept))
	w.ack("m", ErrInvalidRequest, all(0, 2, Accept, Accept))
	w.ack("m", ErrInvalidRequest, all(0, 2))
	w.ack("m", ErrInvalidRequest, all(0, 2, 5))
	w.ack("m", ErrInvalidRecordState, all(0, 2, Renew))
	w.ack("m", nil, all(0, 4, Accept), all(6, 9, Accept, Reject, Gap, Release))
	w.ack("m", ErrInvalidRecordState, all(9, 10, Accept))
	w.ack("m", nil, all(0, 4, Accept)) // done with
	if w.p.Start() != 5 || w.p.Complete() != 3 {
		t.Errorf("the start is %d, %d are complete", w.p.Start(), w.p.Complete())
	}
	w.want("again", Request{Member: "n", MaxRecords: 100}, "9-9*2")
	w.ack("m", nil, all(5, 5, Accept), all(10, 19, Accept))
	w.ack("n", nil, all(9, 9, Accept))
	if w.p.Start() != 20 || w.p.InFlight() != 0 {
		t.Errorf("the start is %d, %d are in flight", w.p.Start(), w.p.InFlight())
	}
}

// TestAllOrNothing: an acknowledgement that is refused in the end changes nothing at its beginning.
func TestAllOrNothing(t *testing.T) {
	w := led(t, plain, 10)
	w.want("half", Request{MaxRecords: 5, RecordLimit: true}, "0-4*1")
	w.ack("m", ErrInvalidRequest, all(0, 2, Accept), all(3, 7, Accept))
	w.ack("m", nil, all(0, 4, Accept))
}

func TestLocks(t *testing.T) {
	c := plain
	c.Renew = true
	w := led(t, c, 4)
	w.want("first", Request{MaxRecords: 100}, "0-3*1")
	w.now = w.now.Add(9 * time.Second)
	w.ack("m", nil, all(2, 3, Renew))
	if w.p.Expire(w.now) {
		t.Error("a lock has expired early")
	}
	w.now = w.now.Add(time.Second)
	if !w.p.Expire(w.now) {
		t.Error("no lock has expired")
	}
	w.ack("m", ErrInvalidRecordState, all(0, 3, Accept))
	w.want("what has expired", Request{Member: "n", MaxRecords: 100}, "0-1*2")
	w.p.Leave("m")
	w.want("what was left", Request{Member: "n", MaxRecords: 100}, "2-3*2")
	w.save()
	w.lead()
	w.want("to whoever asks the next leader", Request{Member: "o", MaxRecords: 100}, "0-3*2")
}

// TestThrottle: one of 64 records cannot be processed; nearly all others are, and it is archived.
func TestThrottle(t *testing.T) {
	c := plain
	c.MaxDeliveries = 6
	w := led(t, c, 64)
	const poison = 37
	lost, seen := 0, make(map[model.Offset]bool)
	for range 400 {
		a := w.fetch(Request{Member: "m", MaxRecords: 100, BatchSize: 100}, 10, false)
		for _, r := range a.Ranges {
			fate := Accept
			if r.First <= poison && poison <= r.Last {
				fate = Release
			} else {
				for off := r.First; off <= r.Last; off++ {
					seen[off] = true
				}
			}
			w.ack("m", nil, all(r.First, r.Last, fate))
		}
	}
	for off := range model.Offset(64) {
		if !seen[off] {
			lost++
		}
	}
	if w.p.Start() != 64 || seen[poison] || lost != 1 {
		t.Errorf("the start is %d, %d records were lost", w.p.Start(), lost)
	}
}

// TestWriteFails: who acknowledged is told so and has the records still; what has expired meanwhile is free.
func TestWriteFails(t *testing.T) {
	w := led(t, plain, 10)
	w.want("all", Request{MaxRecords: 100}, "0-9*1")
	unknown := errors.New("no answer")
	var got []error
	reply := func(err error) { got = append(got, err) }
	w.p.Acknowledge(w.now, "m", []AckBatch{all(0, 4, Accept)}, reply)
	if _, ok := w.p.NextWrite(); !ok {
		t.Fatal("nothing is to be written")
	}
	w.p.Acknowledge(w.now, "m", []AckBatch{all(5, 6, Accept)}, reply) // gathers
	if _, ok := w.p.NextWrite(); ok {
		t.Error("two writes are on their way")
	}
	w.p.Acknowledge(w.now, "m", []AckBatch{all(0, 4, Accept)}, reply) // twice
	w.p.Written(w.now, unknown)
	w.ack("m", nil, all(0, 4, Accept))
	if len(got) != 3 || !errors.Is(got[0], ErrInvalidRecordState) || got[1] != unknown || got[2] != nil || w.p.Start() != 7 {
		t.Errorf("answers %v, the start is %d", got, w.p.Start())
	}
	w.p.Acknowledge(w.now, "m", []AckBatch{all(7, 9, Accept)}, reply)
	w.p.NextWrite()
	w.now = w.now.Add(time.Minute)
	w.p.Expire(w.now)
	w.want("while it may be acknowledged", Request{MaxRecords: 100}, "")
	w.p.Written(w.now, unknown)
	w.want("when it is not", Request{MaxRecords: 100}, "7-9*2")
}

// TestFenced: a later leader has read the state; all is over here.
func TestFenced(t *testing.T) {
	w := led(t, plain, 10)
	w.want("all", Request{MaxRecords: 100}, "0-9*1")
	old := w.p
	w.lead()
	new := w.p
	w.p = old
	w.ack("m", share.ErrFencedLeaderEpoch, all(0, 4, Accept))
	w.ack("m", share.ErrFencedLeaderEpoch, all(5, 9, Accept))
	if a := w.fetch(Request{Member: "m", MaxRecords: 1}, 1, false); len(a.Ranges) > 0 || old.Closed() == nil {
		t.Errorf("acquired %v after %v", a, old.Closed())
	}
	w.p = new
	w.want("by the next leader", Request{MaxRecords: 100}, "0-9*1")
}

// TestFirstStart: nobody is given anything before it is known where the group began.
func TestFirstStart(t *testing.T) {
	w := newWorld(t, plain)
	w.latest = true
	w.append(0, 5, LogBatch{Producer: model.NoProducer})
	w.lead()
	w.append(0, 5, LogBatch{Producer: model.NoProducer})
	w.want("before it is written", Request{MaxRecords: 100}, "")
	if a := w.p.Acquire(w.now, Request{MaxRecords: 100, From: 5, Batches: w.log}); a.Count > 0 {
		t.Errorf("%s is given before it is written", show(a))
	}
	w.save()
	w.want("after", Request{MaxRecords: 100}, "5-9*1")
	w.append(0, 5, LogBatch{Producer: model.NoProducer})
	w.lead()
	w.want("by the next leader", Request{MaxRecords: 100}, "5-14*1")
}

// TestLogStart: records that are gone are done with, whoever has them.
func TestLogStart(t *testing.T) {
	w := led(t, plain, 10, 10)
	w.want("half", Request{MaxRecords: 10}, "0-9*1")
	w.begin = 5
	w.p.LogStart(5)
	w.ack("m", nil, all(0, 7, Accept))
	if w.p.Start() != 8 {
		t.Errorf("the start is %d", w.p.Start())
	}
	w.begin = 15
	w.want("the rest", Request{MaxRecords: 100}, "15-19*1")
}

func TestStateOutOfOrderIsRefused(t *testing.T) {
	s := share.State{Batches: []share.Batch{{First: 5, Last: 6, State: share.Acknowledged}, {First: 6, Last: 7}}}
	if _, err := New(plain, 1, s, 0); err == nil {
		t.Error("it was taken")
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t, plain)
	w.append(3, 4, LogBatch{})
	w.begin = 3
	for _, c := range []struct {
		r    Reset
		want model.Offset
	}{{Reset{}, 3}, {Reset{Latest: true}, 7}, {Reset{Ago: time.Hour}, 3}} {
		if got, err := c.r.Resolve(w.now, w); got != c.want || err != nil {
			t.Errorf("%+v is %d, %v", c.r, got, err)
		}
	}
	w.begin = 7
	if got, _ := (Reset{Ago: time.Hour}).Resolve(w.now, w); got != 7 {
		t.Errorf("without a newer record it is %d", got)
	}
}

// TestWritesSayWhatIsNew: the start covers what is acknowledged up to it, and nothing is written twice.
func TestWritesSayWhatIsNew(t *testing.T) {
	w := led(t, plain, 10)
	w.want("all", Request{MaxRecords: 100}, "0-9*1")
	next := func(want string) {
		t.Helper()
		r, _ := w.p.NextWrite()
		w.p.Written(w.now, nil)
		if got := fmt.Sprintf("%d %d %v", r.Start, r.Complete, r.Batches); got != want {
			t.Errorf("%s is written, want %s", got, want)
		}
	}
	reply := func(err error) { w.must(err) }
	w.p.Acknowledge(w.now, "m", []AckBatch{all(0, 3, Accept)}, reply)
	next("4 0 []")
	w.p.Acknowledge(w.now, "m", []AckBatch{all(6, 7, Reject)}, reply)
	next("4 2 [{6 7 4 1}]")
	w.p.Leave("m")
	next("4 2 [{4 5 0 1} {8 9 0 1}]")
	w.want("again", Request{MaxRecords: 100}, "4-5*2 8-9*2")
	w.p.Acknowledge(w.now, "m", []AckBatch{all(4, 5, Accept)}, reply)
	next("8 0 []")
	if _, ok := w.p.NextWrite(); ok {
		t.Error("there is more to write")
	}
}

func TestWanted(t *testing.T) {
	log := []LogBatch{
		{Base: 0, Last: 4, Producer: 1, Transactional: true}, // aborted
		{Base: 5, Last: 5, Producer: 1},                      // not of a transaction
		{Base: 6, Last: 9, Producer: 2, Transactional: true}, // committed
		{Base: 10, Last: 10, Producer: 1, Transactional: true, Control: true, Abort: true},
		{Base: 11, Last: 12, Producer: 1, Transactional: true}, // committed
		{Base: 13, Last: 13, Producer: 1, Transactional: true, Control: true},
		{Base: 14, Last: 15, Producer: 3, Transactional: true}, // aborted from its middle on
	}
	for _, c := range []struct {
		aborted []Aborted
		want    []bool
	}{
		{[]Aborted{{3, 15}, {1, 0}}, []bool{false, true, true, false, true, false, false}},
		{nil, []bool{true, true, true, false, true, false, true}},
	} {
		if got := wanted(log, c.aborted); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.aborted, got, c.want)
		}
	}
}

// BenchmarkCycle acquires 500 records, acknowledges them and writes, with 1,500 others in flight in alternating states.
func BenchmarkCycle(b *testing.B) {
	c := plain
	c.MaxInFlight = 1 << 30
	w := newWorld(b, c)
	w.lead()
	w.save()
	base, _ := w.p.NextFetch()
	request := func(n model.Offset) Request {
		return Request{Member: "m", MaxRecords: 500, BatchSize: 500, From: base, Batches: []LogBatch{{Base: base, Last: base + n - 1, Producer: model.NoProducer}}}
	}
	w.p.Acquire(w.now, request(1500))
	for off := base; off < base+1500; off += 2 {
		w.p.Acknowledge(w.now, "m", []AckBatch{all(off+1, off+1, Accept)}, func(error) {})
	}
	w.p.NextWrite()
	w.p.Written(w.now, nil)
	for b.Loop() {
		base = w.p.Next()
		a := w.p.Acquire(w.now, request(500))
		w.p.Acknowledge(w.now, "m", []AckBatch{all(a.Ranges[0].First, a.Ranges[0].Last, Accept)}, func(error) {})
		w.p.NextWrite()
		w.p.Written(w.now, nil)
	}
}
