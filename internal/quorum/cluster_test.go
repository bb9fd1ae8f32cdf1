package quorum

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path"
	"testing"
	"testing/cryptotest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// world is a cluster of members over disks that lose power, and a network that loses messages, in one goroutine. Time is
// that of the events; all that is random comes from the seed, Raft's election timeouts included.
type world struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	now     time.Time
	events  events
	seq     int
	nodes   []*station
	cut     map[[2]int]bool // from, to
	lossy   bool
	members bool // the configuration changes all the time
	broken  Broken
	log     *slog.Logger

	truth map[uint64]string // index -> what was applied there
	terms map[uint64]uint64 // term -> who led in it
	acked uint64            // newest acknowledged index
	value int               // of the next proposal
	reads uint64            // so many were asked for
	// reading has all nodes ask for linearizable reads all the time, which spreads commit indices early.
	reading bool
	stats   map[string]int
	failed  error
	trace   bool
}

// station is one node of it.
type station struct {
	w      *world
	n      int // its place in nodes; its node ID is one more
	self   Replica
	fs     *crashfs.FS
	disk   *Disk
	member *Member
	life   int // which of its lives; events of an earlier one are void
	paused bool
	stall  time.Duration // how long the disk takes more than usual
	found  bool
	every  uint64            // entries between snapshots
	term   uint64            // that its disk knows
	wait   map[uint64]uint64 // index -> term of what was proposed
	asked  map[uint64]uint64 // read -> the newest index that was acknowledged before
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(t *testing.T, seed uint64, size int) *world {
	cryptotest.SetGlobalRandom(t, seed)
	w := &world{trace: *traceRuns, t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0),
		cut: make(map[[2]int]bool), truth: make(map[uint64]string), terms: make(map[uint64]uint64), stats: make(map[string]int),
		log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for n := range size {
		w.add(n)
	}
	return w
}

func (w *world) add(n int) *station {
	s := &station{w: w, n: n, fs: crashfs.New(w.seed*16 + uint64(n)), every: uint64(10 + w.rng.IntN(30)), found: n == 0}
	s.self = Replica{Node: model.BrokerID(n + 1), Directory: w.directory()}
	w.nodes = append(w.nodes, s)
	return s
}

func (w *world) directory() (id image.UUID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	return id
}

// in has something happen after a while.
func (w *world) in(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

// between draws a duration.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

// run lets time pass until a condition holds, or a rule is found broken. It reports whether the condition came to hold.
func (w *world) run(d time.Duration, until func() bool) bool {
	end := w.now.Add(d)
	for w.failed == nil {
		if until != nil && until() {
			return true
		}
		if len(w.events) == 0 || w.events[0].at.After(end) {
			w.now = end
			return false
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	return false
}

func (w *world) tracef(format string, args ...any) {
	if w.trace {
		fmt.Printf("%v "+format+"\n", append([]any{w.now.Sub(time.Unix(1_700_000_000, 0))}, args...)...)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf("seed %d, %v: %s", w.seed, w.now.Sub(time.Unix(1_700_000_000, 0)), fmt.Sprintf(format, args...))
	}
}

// up starts a node on what its disk holds.
func (s *station) up() {
	w := s.w
	if s.member != nil {
		return
	}
	if err := s.fs.MkdirAll(path.Dir(metaDir)); err != nil {
		w.t.Fatal(err)
	}
	// A committer that is closed has no goroutines: every commit is inline.
	c := wal.NewCommitter(wal.CommitterOptions{FS: s.fs, Workers: 1, OpenFiles: 4, Tick: time.Hour, Now: w.clock})
	c.Close()
	disk, state, err := OpenDisk(DiskOptions{Self: s.self, Found: s.found, Inline: true,
		Options: Options{FS: s.fs, Dir: metaDir, ClusterID: "c", Committer: c, Now: w.clock, Log: w.log}})
	if err != nil {
		w.fail("node %d does not start: %v", s.self.Node, err)
		return
	}
	m, err := NewMember(MemberOptions{Self: s.self, ClusterID: "c", State: state, Older: disk, SnapshotEvery: s.every,
		KeepEntries: s.every / 2, CacheBytes: 2000, Log: w.log, Broken: w.broken})
	if err != nil {
		w.fail("node %d does not start: %v", s.self.Node, err)
		return
	}
	w.tracef("n%d starts: vote %+v, log %d-%d, config %v", s.self.Node, state.vote, state.entries.first, state.entries.last, state.config.state)
	s.disk, s.member, s.term, s.wait = disk, m, state.vote.term, make(map[uint64]uint64)
	s.asked = make(map[uint64]uint64)
	s.life++
	s.took()
	s.tick(s.life, w.between(0, TickInterval))
}

func (w *world) clock() time.Time { return w.now }

func (s *station) tick(life int, d time.Duration) {
	s.w.in(d, func() {
		if life != s.life {
			return
		}
		if !s.paused {
			s.member.Tick(s.w.now)
			if s.w.reading {
				s.read()
			}
			s.took()
		}
		s.tick(life, TickInterval)
	})
}

// read asks for a linearizable read.
func (s *station) read() {
	s.w.reads++
	s.asked[s.w.reads] = s.w.acked
	s.member.ReadIndex(s.w.reads)
}

// crash cuts a node's power, now or in the middle of what its disk is doing.
func (s *station) crash(torn bool) {
	if s.member == nil {
		return
	}
	w := s.w
	mode := crashfs.Mode(w.rng.IntN(3))
	after := s.fs
	if save := s.member.save; save != nil && torn {
		left := w.rng.IntN(12)
		s.fs.OnOp(func(op crashfs.Op) {
			if op.Kind.Changes() {
				if left--; left == 0 {
					after = s.fs.Crash(mode)
					w.stats["torn"]++
				}
			}
		})
		_ = s.disk.Save(save)
		s.fs.OnOp(nil)
	}
	if after == s.fs {
		after = s.fs.Crash(mode)
	}
	s.fs = after
	s.down()
}

// power cuts a node's power between two things that its disk does.
func (s *station) power(mode crashfs.Mode) {
	s.fs = s.fs.Crash(mode)
	s.down()
}

func (s *station) down() {
	s.member, s.disk, s.paused = nil, nil, false
	s.life++
	s.w.stats["crash"]++
	s.w.tracef("n%d crashes", s.self.Node)
}

// took does what a member asks for, and checks it.
func (s *station) took() {
	w, e := s.w, s.member.Take()
	if err := s.member.Err(); err != nil {
		w.fail("node %d has stopped: %v", s.self.Node, err)
		return
	}
	for _, r := range e.Reads {
		if known := s.asked[r.ID]; r.Index < known {
			w.fail("M2: node %d is to read at index %d, %d was acknowledged before it asked", s.self.Node, r.Index, known)
		}
		w.stats["read"]++
	}
	for _, c := range e.Applied {
		w.tracef("n%d applied %d term %d", s.self.Node, c.Index, c.Term)
		s.check(c)
	}
	if r := s.member.role; r.leading {
		if other, ok := w.terms[r.term]; ok && other != s.self.id() {
			w.fail("two leaders in term %d", r.term)
		}
		if _, ok := w.terms[r.term]; !ok {
			w.stats["leader"]++
		}
		w.terms[r.term] = s.self.id()
	} else {
		clear(s.wait) // whoever waits is told that it is not known
	}
	life := s.life
	if e.Save != nil {
		s.later(life, w.between(200*time.Microsecond, 5*time.Millisecond)+s.stall, func() {
			if e.Save.snapshot != nil {
				w.stats["snapshot"]++
			}
			if len(e.Save.entries) > 0 && offsetOf(e.Save.entries[0].GetIndex()) < s.disk.log.End() {
				w.stats["truncation"]++
			}
			w.tracef("n%d saves %+v, %d entries, snapshot %v, log end %d", s.self.Node, e.Save.written, len(e.Save.entries), e.Save.snapshot != nil, s.disk.log.End())
			odds := 60
			if e.Save.snapshot != nil || e.Save.steps[0].vote != nil {
				odds = 6 // there is more that can go wrong
			}
			if w.lossy && w.rng.IntN(odds) == 0 {
				s.crash(true)
				w.in(w.between(10*time.Millisecond, time.Second), s.up)
				return
			}
			err := s.disk.Save(e.Save)
			s.term = e.Save.written.term
			s.member.Saved(err)
		})
	}
	if e.Compact != nil {
		s.later(life, w.between(time.Millisecond, 30*time.Millisecond)+s.stall, func() { s.member.Compacted(s.disk.Compact(e.Compact)) })
		w.stats["compaction"]++
	}
	for _, m := range e.Send {
		s.send(m)
	}
}

func (s *station) later(life int, d time.Duration, do func()) {
	s.w.in(d, func() {
		if life == s.life && s.member != nil {
			if do(); s.member != nil {
				s.took()
			}
		}
	})
}

// check holds an applied entry against what others have applied at its index (M2), and acknowledges it.
func (s *station) check(c Change) {
	w := s.w
	if c.Image.Index() != c.Index || c.Image.Term() != c.Term {
		w.fail("node %d: image %d of term %d is called %d of %d", s.self.Node, c.Image.Index(), c.Image.Term(), c.Index, c.Term)
	}
	got := fmt.Sprintf("%d %v", c.Term, c.Image.ClusterConfigs())
	want, known := w.truth[c.Index]
	if !known {
		w.truth[c.Index] = got
	} else if got != want {
		w.fail("M2: node %d has at index %d %q, it was %q", s.self.Node, c.Index, got, want)
	}
	if term, ok := s.wait[c.Index]; ok {
		delete(s.wait, c.Index)
		if term == c.Term {
			w.acked = max(w.acked, c.Index)
			w.stats["acknowledged"]++
		}
	}
}

// send puts a message on the network.
func (s *station) send(m *pb.Message) {
	w := s.w
	if !w.broken.SendBeforeSync && m.GetTerm() > s.term && m.GetType() != pb.MsgPreVote && m.GetType() != pb.MsgPreVoteResp {
		w.fail("M1: node %d sends %v of term %d, its disk knows %d", s.self.Node, m.GetType(), m.GetTerm(), s.term)
	}
	copies := 1
	if w.lossy {
		switch w.rng.IntN(40) {
		case 0, 1:
			copies = 0
		case 2:
			copies = 2
		}
	}
	for _, to := range w.nodes {
		if to.self.id() != m.GetTo() {
			continue
		}
		if copies == 0 {
			s.sent(m, false)
		}
		for range copies {
			d := w.between(100*time.Microsecond, 3*time.Millisecond)
			if w.lossy && w.rng.IntN(20) == 0 {
				d += w.between(0, 400*time.Millisecond)
			}
			s.deliver(to, d, m)
		}
	}
}

func (s *station) deliver(to *station, d time.Duration, m *pb.Message) {
	w := s.w
	w.in(d, func() {
		switch {
		case to.member == nil || w.cut[[2]int{s.n, to.n}]:
			s.sent(m, false)
		case to.paused:
			s.deliver(to, 20*time.Millisecond, m) // it waits in a buffer
		default:
			w.tracef("n%d to n%d: %v", s.self.Node, to.self.Node, m)
			to.member.Step(w.now, m)
			to.took()
			s.sent(m, true)
		}
	})
}

// sent tells a sender what has become of a snapshot, as a transport does.
func (s *station) sent(m *pb.Message, ok bool) {
	if m.GetType() == pb.MsgSnap {
		s.later(s.life, 2*time.Millisecond, func() { s.member.Snapshotted(m.GetTo(), ok) })
	}
}

// propose has the active controllers, or who think they are, decide something.
func (w *world) propose() {
	for _, s := range w.nodes {
		if s.member == nil || s.paused || !s.member.Active() || len(s.wait) > 3 {
			continue
		}
		w.value++
		data, err := command.Encode("c", []*command.Command{command.ClusterConfig(
			command.Values(map[string]string{fmt.Sprintf("k%d", w.value%5): fmt.Sprintf("%d by %d", w.value, s.self.Node)}), nil)})
		if err != nil {
			w.t.Fatal(err)
		}
		index, term, err := s.member.Propose(data)
		if err == nil {
			s.wait[index] = term
		} else if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotController) {
			w.fail("proposing: %v", err)
		}
		s.took()
	}
}

// controller is the active controller, nil if there is none.
func (w *world) controller() *station {
	for _, s := range w.nodes {
		if s.member != nil && !s.paused && s.member.Active() && w.terms[s.member.role.term] == s.self.id() {
			return s
		}
	}
	return nil
}

// change has the controller change the configuration, and waits for it, with retries.
func (w *world) change(c func() (ConfigChange, bool)) {
	ok := w.run(20*time.Second, func() bool {
		want, done := c()
		if done {
			return true
		}
		if l := w.controller(); l != nil && len(want.Learn)+len(want.Promote)+len(want.Remove) > 0 {
			if _, _, err := l.member.ProposeChange(want); err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotController) {
				w.fail("changing the configuration: %v", err)
			}
			l.took()
		}
		return false
	})
	if !ok {
		w.fail("the configuration does not change")
	}
}

// grow takes all nodes in as voters, from the first.
func (w *world) grow() {
	for _, s := range w.nodes {
		s.up()
	}
	for _, s := range w.nodes[1:] {
		w.join(s)
	}
}

func (w *world) join(s *station) {
	w.change(func() (ConfigChange, bool) {
		l := w.controller()
		if l == nil || l.member.pending > l.member.image.Index() || len(l.member.config.state.VotersOutgoing) > 0 {
			return ConfigChange{}, false
		}
		st := l.member.Status()
		for _, v := range st.Voters {
			if v.Replica == s.self {
				return ConfigChange{}, true
			}
		}
		for _, o := range st.Observers {
			if o.Replica == s.self {
				return ConfigChange{Promote: []Replica{s.self}}, false
			}
		}
		return ConfigChange{Learn: []Replica{s.self}}, false
	})
}
