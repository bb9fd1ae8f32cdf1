package sharepartition

import (
	"testing"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// world is a log with batches of all kinds, the coordinator of the share partition's state, and one leader after the other.
type world struct {
	t       testing.TB
	now     time.Time
	config  Config
	log     []LogBatch
	begin   model.Offset // of the log
	end     model.Offset
	aborted []abort
	latest  bool

	coordinator *share.Machine
	written     model.Offset
	key         share.Key
	epoch       int32
	p           *Partition
}

// abort is an aborted transaction and where its marker is.
type abort struct {
	Aborted
	marker model.Offset
}

func newWorld(t testing.TB, c Config) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), config: c, key: share.Key{Group: "g", TopicID: model.TopicID{1}}}
	im := image.New("c")
	id := w.key.TopicID
	for i, c := range []*command.Command{
		command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}),
		command.Create(&command.CreateTopic{Name: "t", TopicId: id[:], Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}}),
	} {
		var err error
		if im, _, err = image.Apply(im, []*command.Command{c}, 1, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	w.coordinator = share.New(share.Config{UpdatesPerSnapshot: 5, UpkeepEvery: time.Hour})
	w.run(w.coordinator.Loaded(w.now, im))
	w.run(w.coordinator.Initialize(w.now, share.InitializeRequest{Key: w.key, Start: model.NoOffset}, w.must))
	return w
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// run makes a decision of the coordinator safe at once.
func (w *world) run(r shard.Result) {
	for _, rec := range r.Records {
		w.must(w.coordinator.Apply(w.written, shard.Entry{Producer: model.NoProducer, Record: rec}))
		w.written++
	}
	w.coordinator.Settle(w.written)
	if r.Reply != nil {
		r.Reply(nil)
	}
}

// Earliest, Latest and At are what the log says to Resolve.
func (w *world) Earliest() (model.Offset, error) { return w.begin, nil }
func (w *world) Latest() (model.Offset, error)   { return w.end, nil }
func (w *world) At(int64) (model.Offset, bool, error) {
	return w.begin, w.begin < w.end, nil
}

// lead makes a new leader, whatever became of the one before.
func (w *world) lead() {
	w.epoch++
	w.run(w.coordinator.Read(w.now, share.ReadRequest{Key: w.key, LeaderEpoch: w.epoch}, func(s share.State, err error) {
		w.must(err)
		reset, err := Reset{Latest: w.latest}.Resolve(w.now, w)
		w.must(err)
		w.p, err = New(w.config, w.epoch, s, reset)
		w.must(err)
		w.p.LogStart(w.begin)
	}))
}

// write sends a write to the coordinator.
func (w *world) write(r share.WriteRequest) (out error) {
	r.Key = w.key
	w.run(w.coordinator.Write(w.now, r, func(err error) { out = err }))
	return out
}

// save writes until there is nothing to write.
func (w *world) save() {
	for {
		r, ok := w.p.NextWrite()
		if !ok {
			return
		}
		w.p.Written(w.now, w.write(r))
	}
}

// append adds a batch of some offsets after a hole.
func (w *world) append(hole, n int, b LogBatch) {
	b.Base = w.end + model.Offset(hole)
	b.Last = b.Base + model.Offset(n) - 1
	w.end = b.Last + 1
	w.log = append(w.log, b)
}

// read returns some batches from an offset on.
func (w *world) read(from model.Offset, most int) (out []LogBatch) {
	for _, b := range w.log {
		if b.Last >= from && b.Last >= w.begin && len(out) < most {
			out = append(out, b)
		}
	}
	return out
}

// abortedFrom is what a log says with a read from an offset on: transactions that end behind it.
func (w *world) abortedFrom(from model.Offset) (out []Aborted) {
	for _, a := range w.aborted {
		if a.marker >= from {
			out = append(out, a.Aborted)
		}
	}
	return out
}

// fetch gives a member records, with what is read again if all of a read was passed over.
func (w *world) fetch(r Request, most int, committed bool) Acquisition {
	for {
		from, ok := w.p.NextFetch()
		if !ok {
			return Acquisition{}
		}
		if from < w.begin {
			w.p.LogStart(w.begin)
			continue
		}
		r.From, r.Batches = from, w.read(from, most)
		if committed {
			r.Aborted = w.abortedFrom(from)
		}
		a := w.p.Acquire(w.now, r)
		if len(a.Ranges) > 0 || !a.Passed {
			return a
		}
	}
}
