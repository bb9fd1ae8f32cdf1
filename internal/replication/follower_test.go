package replication

import (
	"testing"
	"time"

	"chronik/internal/model"
)

// desk is a follower, broker 1, under test, with the hands of its shell.
type desk struct {
	*Follower
	t    *testing.T
	now  time.Time
	log  *toyLog
	last Subscription
}

// follow makes a follower of broker 0 in epoch 5, which has asked its first question.
func follow(t *testing.T, log *toyLog, watermark model.Offset) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Unix(1000, 0), log: log}
	d.Follower = NewFollower(FollowerOptions{
		TopicID: model.TopicID{1}, Partition: 3, Broker: 1, BrokerEpoch: 101, History: log, Watermark: watermark,
		Number: func() Subscription { d.last++; return d.last }, Window: 100, Retry: retry, Patience: patience,
	})
	d.Follow(0, benchEpoch, log.own(), d.now)
	return d
}

func logOf(start model.Offset, list []model.LeaderEpoch) *toyLog {
	l := &toyLog{start: start}
	for _, e := range list {
		l.entries = append(l.entries, entry{epoch: e})
	}
	l.synced = l.end()
	return l
}

func (d *desk) about() Reply { return Reply{d.last, benchEpoch, 101} }

// wantQuestion takes the question that is to be asked now.
func (d *desk) wantQuestion(end model.Offset, last model.LeaderEpoch) {
	d.t.Helper()
	got := d.Take().Subscribe
	want := Subscribe{TopicID: model.TopicID{1}, Partition: 3, Subscription: d.last, LeaderEpoch: benchEpoch, Broker: 1, BrokerEpoch: 101,
		Own: d.log.own(), LastEpoch: last, Credit: 100}
	if got == nil || *got != want || got.Own.End != end {
		d.t.Fatalf("the question is %+v, want %+v, at %d", got, want, end)
	}
}

func (d *desk) wantSilence() {
	d.t.Helper()
	if out := d.Take(); out != (FollowerEffects{}) {
		d.t.Errorf("wants %+v, want nothing", out)
	}
}

func (d *desk) accept(watermark, start model.Offset) {
	d.t.Helper()
	d.Answer(Accepted{Reply: d.about(), From: d.log.end(), HighWatermark: watermark, LogStart: start}, d.now)
	if !d.Streaming() {
		d.t.Fatal("not streaming after the subscription was accepted")
	}
}

// get takes batches of n entries in the stream, and appends them if it may.
func (d *desk) get(m Batches) bool {
	d.t.Helper()
	if m.Subscription == 0 {
		m.Subscription = d.last
	}
	if m.LeaderEpoch == 0 {
		m.LeaderEpoch = benchEpoch
	}
	ok := d.Batches(m, d.now)
	if ok {
		for d.log.end() < m.End {
			d.log.entries = append(d.log.entries, entry{epoch: benchEpoch})
		}
		d.OwnMoved(d.log.own(), d.now)
	}
	return ok
}

func (d *desk) sync(to model.Offset) {
	d.log.synced = to
	d.OwnMoved(d.log.own(), d.now)
}

// TestR2Truncate is where a follower cuts, by its own history and the leader's answer; never at a watermark.
func TestR2Truncate(t *testing.T) {
	// Offsets 20 to 29 in epoch 1, 30 to 39 in epoch 3, 40 to 49 in epoch 4.
	history := epochs(10, 1, 10, 3, 10, 4)
	for _, c := range []struct {
		name  string
		epoch model.LeaderEpoch
		end   model.Offset
		want  model.Offset
	}{
		{"the leader's last is shorter", 4, 45, 45},
		{"the leader ended an older epoch earlier", 3, 35, 35},
		{"the leader ended an older epoch later", 3, 44, 40},
		{"the leader's epoch is not in this log", 2, 44, 30},
		{"and ends before this log's older one", 2, 25, 25},
		{"below everything", 0, 44, 20},
		{"below the log start", 1, 10, 10},
	} {
		d := follow(t, logOf(20, history), 48)
		d.wantQuestion(50, 4)
		d.Answer(Diverged{d.about(), c.epoch, c.end}, d.now)
		cut := d.Take().Truncate
		if cut == nil || *cut != (Truncate{To: c.want, Committed: true}) {
			t.Errorf("%s: %+v, want to %d", c.name, cut, c.want)
			continue
		}
		d.log.cut(c.want)
		d.Truncated(d.log.own(), d.now)
		d.wantQuestion(c.want, d.log.LastEpoch())
		if got := d.Watermark(); got != max(c.want, 0) {
			t.Errorf("%s: the watermark is %d after the cut", c.name, got)
		}
	}
}

// TestR2NoTruncationToTheWatermark: what lies above it may be committed, and only the leader knows.
func TestR2NoTruncationToTheWatermark(t *testing.T) {
	d := follow(t, logOf(0, epochs(10, 4)), 2)
	d.wantQuestion(10, 4)
	d.accept(4, 0)
	if out := d.Take(); out.Truncate != nil {
		t.Errorf("cuts: %+v", out.Truncate)
	}
	if got := d.Watermark(); got != 4 {
		t.Errorf("the watermark is %d", got)
	}
}

// TestR2SeveralRounds: each answer cuts a little more, until the logs agree.
func TestR2SeveralRounds(t *testing.T) {
	leader := begin(t, setup{log: epochs(10, 1, 10, 3, 10, 5), synced: 30})
	d := follow(t, logOf(0, epochs(12, 1, 4, 2, 10, 4)), 5)
	rounds := 0
	for q := d.Take().Subscribe; q != nil; q = d.Take().Subscribe {
		rounds++
		d.Answer(leader.Subscribe(*q, leader.now), d.now)
		if d.Streaming() {
			break
		}
		cut := d.Take().Truncate
		if cut == nil || cut.Committed {
			t.Fatalf("round %d: %+v", rounds, cut)
		}
		d.log.cut(cut.To)
		d.Truncated(d.log.own(), d.now)
	}
	if !d.Streaming() || rounds != 3 || d.log.end() != 10 {
		t.Errorf("after %d rounds the log ends at %d, streaming %v", rounds, d.log.end(), d.Streaming())
	}
}

// TestImpossibleAnswers cut nothing, and the leader is asked again.
func TestImpossibleAnswers(t *testing.T) {
	for name, a := range map[string]func(Reply) Answer{
		"an epoch above the one asked for": func(r Reply) Answer { return Diverged{r, 5, 5} },
		"no epoch":                         func(r Reply) Answer { return Diverged{r, model.NoEpoch, 5} },
		"nothing to cut":                   func(r Reply) Answer { return Diverged{r, 4, 10} },
		"a negative offset":                func(r Reply) Answer { return Diverged{r, 4, -1} },
		"a negative log start":             func(r Reply) Answer { return Restart{r, -1} },
	} {
		d := follow(t, logOf(0, epochs(10, 4)), 0)
		d.wantQuestion(10, 4)
		d.Answer(a(d.about()), d.now)
		if out := d.Take(); out != (FollowerEffects{}) {
			t.Errorf("%s: wants %+v", name, out)
		}
		d.now = d.now.Add(retry)
		d.Tick(d.now)
		d.wantQuestion(10, 4)
	}
}

// TestD5StaleAnswersChangeNothing: only the present question is open.
func TestD5StaleAnswersChangeNothing(t *testing.T) {
	for name, edit := range map[string]func(*Reply){
		"former question":  func(r *Reply) { r.Subscription-- },
		"leader epoch":     func(r *Reply) { r.LeaderEpoch-- },
		"new leader epoch": func(r *Reply) { r.LeaderEpoch++ },
		"incarnation":      func(r *Reply) { r.BrokerEpoch-- },
	} {
		d := follow(t, logOf(0, epochs(10, 4)), 0)
		d.Take()
		r := d.about()
		edit(&r)
		for _, a := range []Answer{Diverged{r, 4, 5}, Restart{r, 3}, Accepted{Reply: r, From: 10}, Refused{Reply: r, Reason: NotReplica}} {
			d.Answer(a, d.now)
			d.wantSilence()
		}
		if d.Streaming() {
			t.Errorf("%s: a stale answer began a stream", name)
		}
	}
	// An answer that comes twice: the second finds another question, or none.
	d := follow(t, logOf(0, epochs(10, 4)), 0)
	d.Take()
	a := Diverged{d.about(), 4, 5}
	d.Answer(a, d.now)
	d.Take()
	d.Answer(a, d.now)
	d.wantSilence()
	d.log.cut(5)
	d.Truncated(d.log.own(), d.now)
	d.wantQuestion(5, 4)
	d.Answer(a, d.now)
	d.wantSilence()
	d.accept(0, 0)
	d.Answer(Diverged{d.about(), 4, 2}, d.now) // only Restart may come in the middle of a stream
	d.wantSilence()
}

// TestD5BatchesAreBound to the subscription, the epoch and the next offset.
func TestD5BatchesAreBound(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Batches
		want bool
		asks bool
	}{
		{"right", Batches{From: 10, End: 12}, true, false},
		{"former subscription", Batches{From: 10, End: 12, Subscription: 99}, false, false},
		{"former epoch", Batches{From: 10, End: 12, LeaderEpoch: 4}, false, false},
		{"again", Batches{From: 8, End: 10}, false, false},
		{"overlapping", Batches{From: 8, End: 12}, false, false},
		{"nothing", Batches{From: 10, End: 10}, false, false},
		{"after a hole", Batches{From: 11, End: 12}, false, true},
	} {
		d := follow(t, logOf(0, epochs(10, 4)), 0)
		d.Take()
		d.accept(0, 0)
		if got := d.get(c.m); got != c.want {
			t.Errorf("%s: appended: %v", c.name, got)
		}
		if out := d.Take(); (out.Subscribe != nil) != c.asks {
			t.Errorf("%s: wants %+v", c.name, out)
		}
	}
	d := follow(t, logOf(0, epochs(10, 4)), 0)
	if d.get(Batches{From: 10, End: 12}) {
		t.Error("batches are appended before the logs were compared")
	}
}

// TestAcks tell of what has become durable, once, and of nothing that was not compared.
func TestAcks(t *testing.T) {
	d := follow(t, logOf(0, epochs(10, 4)), 0)
	if a, ok := d.Ack(); ok {
		t.Errorf("acknowledges without a stream: %+v", a)
	}
	d.accept(0, 0)
	if a, ok := d.Ack(); ok {
		t.Errorf("repeats what Subscribe said: %+v", a)
	}
	d.get(Batches{From: 10, End: 13})
	if a, ok := d.Ack(); ok {
		t.Errorf("acknowledges what is not durable: %+v", a)
	}
	d.sync(12)
	want := Ack{Subscription: 1, LeaderEpoch: benchEpoch, BrokerEpoch: 101, Own: Own{End: 13, Synced: 12}}
	if a, ok := d.Ack(); !ok || a != want {
		t.Errorf("Ack = %+v, %v, want %+v", a, ok, want)
	}
	if a, ok := d.Ack(); ok {
		t.Errorf("twice: %+v", a)
	}
	d.get(Batches{From: 13, End: 14})
	d.LinkLost(d.now)
	if a, ok := d.Ack(); ok {
		t.Errorf("acknowledges without a link: %+v", a)
	}
}

// TestWatermarkFollows the leader's, as far as the log goes (KIP-392).
func TestWatermarkFollows(t *testing.T) {
	d := follow(t, logOf(0, epochs(10, 4)), 3)
	d.Take()
	d.accept(12, 0)
	if d.Watermark() != 10 || !d.Take().Moved {
		t.Errorf("watermark %d", d.Watermark())
	}
	d.get(Batches{From: 10, End: 15, HighWatermark: 12})
	if d.Watermark() != 12 {
		t.Errorf("watermark %d", d.Watermark())
	}
	d.HearWatermark(Watermark{d.last, benchEpoch, 14, 0})
	d.HearWatermark(Watermark{d.last, benchEpoch, 13, 0}) // an older word comes late
	d.HearWatermark(Watermark{d.last, benchEpoch - 1, 15, 0})
	d.HearWatermark(Watermark{d.last + 1, benchEpoch, 15, 0})
	if d.Watermark() != 14 {
		t.Errorf("watermark %d", d.Watermark())
	}
	// In the next epoch, before the logs were compared, nothing more is known.
	d.Follow(2, benchEpoch+1, d.log.own(), d.now)
	d.HearWatermark(Watermark{1, benchEpoch, 15, 0})
	if d.Watermark() != 14 {
		t.Errorf("watermark %d", d.Watermark())
	}
}

// TestLogStartFollows the leader's, below the watermark.
func TestLogStartFollows(t *testing.T) {
	d := follow(t, logOf(0, epochs(10, 4)), 0)
	d.Take()
	d.accept(6, 4)
	if got := d.Take().DeleteTo; got != 4 {
		t.Errorf("delete to %d, want 4", got)
	}
	d.log.trim(4)
	d.OwnMoved(d.log.own(), d.now)
	d.wantSilence()
	d.HearWatermark(Watermark{d.last, benchEpoch, 7, 9})
	if got := d.Take().DeleteTo; got != 7 {
		t.Errorf("delete to %d, want the watermark 7", got)
	}
}

// TestRestart: a log that lies below the leader's start begins anew there, also in the middle of a stream.
func TestRestart(t *testing.T) {
	for _, streaming := range []bool{false, true} {
		d := follow(t, logOf(0, epochs(10, 4)), 5)
		d.Take()
		if streaming {
			d.accept(5, 0)
		}
		d.Answer(Restart{d.about(), 20}, d.now)
		cut := d.Take().Truncate
		if cut == nil || *cut != (Truncate{To: 20, All: true}) {
			t.Fatalf("wants %+v", cut)
		}
		if d.get(Batches{From: 10, End: 12}) {
			t.Error("appends while the log is cut")
		}
		d.log.restart(20)
		d.Truncated(d.log.own(), d.now)
		d.wantQuestion(20, model.NoEpoch)
		if d.Watermark() != 20 {
			t.Errorf("watermark %d: what the leader deleted was committed", d.Watermark())
		}
	}
	d := follow(t, logOf(0, epochs(10, 4)), 5)
	d.Take()
	d.Answer(Restart{d.about(), 3}, d.now)
	if cut := d.Take().Truncate; cut == nil || !cut.Committed {
		t.Errorf("wants %+v: what goes is committed and must be told of", cut)
	}
}

// TestNewEpochWhileCutting: the log is one thing at a time. The new leader is asked when the cut is done.
func TestNewEpochWhileCutting(t *testing.T) {
	d := follow(t, logOf(0, epochs(10, 4)), 0)
	d.Take()
	d.Answer(Diverged{d.about(), 4, 5}, d.now)
	if d.Take().Truncate == nil {
		t.Fatal("no cut")
	}
	d.Follow(2, benchEpoch+1, Own{End: 7, Synced: 7}, d.now)
	d.Tick(d.now.Add(time.Hour))
	d.OwnMoved(Own{End: 6, Synced: 6}, d.now)
	d.AppendFailed(Own{End: 6, Synced: 6}, d.now)
	d.wantSilence()
	d.log.cut(5)
	d.Truncated(d.log.own(), d.now)
	if q := d.Take().Subscribe; q == nil || q.LeaderEpoch != benchEpoch+1 || q.Own.End != 5 {
		t.Errorf("asks %+v", q)
	}
	d.Truncated(Own{}, d.now) // nothing is being cut
	d.wantSilence()

	// Not begun yet: it is not done at all.
	d = follow(t, logOf(0, epochs(10, 4)), 0)
	d.Take()
	d.Answer(Diverged{d.about(), 4, 5}, d.now)
	d.Follow(2, benchEpoch+1, d.log.own(), d.now)
	if out := d.Take(); out.Truncate != nil || out.Subscribe == nil || out.Subscribe.Own.End != 10 {
		t.Errorf("wants %+v", out)
	}

	// No leader any more: it waits.
	d = follow(t, logOf(0, epochs(10, 4)), 0)
	d.Answer(Diverged{d.about(), 4, 5}, d.now)
	d.Take()
	d.Follow(model.NoBroker, benchEpoch+1, d.log.own(), d.now)
	d.log.cut(5)
	d.Truncated(d.log.own(), d.now)
	d.Tick(d.now.Add(time.Hour))
	d.wantSilence()
	d.Follow(2, benchEpoch+2, d.log.own(), d.now)
	if q := d.Take().Subscribe; q == nil || q.Own.End != 5 {
		t.Errorf("asks %+v", q)
	}
}

// TestAsksAgain after a refusal, a lost link, and silence, in its time.
func TestAsksAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*desk)
		in   time.Duration
	}{
		{"silence", func(*desk) {}, patience},
		{"refused", func(d *desk) { d.Answer(Refused{Reply: d.about(), Reason: UnknownLeaderEpoch}, d.now) }, retry},
		{"link lost", func(d *desk) { d.LinkLost(d.now) }, retry},
		{"link lost later", func(d *desk) { d.accept(0, 0); d.LinkLost(d.now) }, retry},
		{"no space", func(d *desk) { d.accept(0, 0); d.AppendFailed(d.log.own(), d.now) }, retry},
		{"cut for want of space", func(d *desk) { d.accept(0, 0); d.log.cut(10); d.OwnMoved(d.log.own(), d.now) }, retry},
	} {
		d := follow(t, logOf(0, epochs(11, 4)), 0)
		d.Take()
		c.do(d)
		d.Take()
		d.Tick(d.now.Add(c.in - 1))
		if out := d.Take(); out.Subscribe != nil {
			t.Errorf("%s: asks again too early", c.name)
		}
		d.Tick(d.now.Add(c.in))
		if out := d.Take(); out.Subscribe == nil || out.Subscribe.Subscription != d.last || out.Subscribe.Own.End != d.log.end() {
			t.Errorf("%s: asks %+v", c.name, out.Subscribe)
		}
	}
}

// TestR1OldEpochsAreNotFollowed: metadata may be told twice, or late.
func TestR1OldEpochsAreNotFollowed(t *testing.T) {
	d := follow(t, logOf(0, nil), 0)
	d.Take()
	d.Follow(2, benchEpoch, d.log.own(), d.now)
	d.Follow(2, benchEpoch-1, d.log.own(), d.now)
	d.wantSilence()
	if id, epoch := d.Leader(); id != 0 || epoch != benchEpoch {
		t.Errorf("follows %d in epoch %d", id, epoch)
	}
	d.Registered(102, d.now)
	if q := d.Take().Subscribe; q == nil || q.BrokerEpoch != 102 {
		t.Errorf("after registering again it asks %+v", q)
	}
}

// TestCredit is given back in quarters of the window, as batches become durable.
func TestCredit(t *testing.T) {
	d := follow(t, logOf(0, nil), 0)
	d.accept(0, 0)
	for i := range model.Offset(5) {
		d.get(Batches{From: i, End: i + 1, Bytes: make([]byte, 20)})
	}
	if c, ok := d.Credit(); ok {
		t.Errorf("given back before anything is durable: %+v", c)
	}
	d.sync(1)
	if c, ok := d.Credit(); ok {
		t.Errorf("a message for %d bytes", c.Bytes)
	}
	d.sync(4)
	if c, ok := d.Credit(); !ok || c != (Credit{d.last, 80}) {
		t.Errorf("Credit = %+v, %v", c, ok)
	}
	d.LinkLost(d.now)
	d.sync(5)
	d.Tick(d.now.Add(retry))
	d.accept(0, 0)
	if c, ok := d.Credit(); ok {
		t.Errorf("credit of the former stream is given to the new one: %+v", c)
	}
}

// TestD5NobodyToAsk: appends fail while there is no leader. Nobody is asked anything, at once or later, until there is one again.
func TestD5NobodyToAsk(t *testing.T) {
	d := follow(t, logOf(0, []model.LeaderEpoch{5, 5, 5}), 0)
	d.wantQuestion(3, 5)
	d.Follow(model.NoBroker, benchEpoch+1, d.log.own(), d.now)
	d.OwnMoved(Own{End: 1, Synced: 1}, d.now)
	d.wantSilence()
	d.now = d.now.Add(retry + patience)
	d.Tick(d.now)
	d.wantSilence()
	d.Follow(2, benchEpoch+2, Own{End: 1, Synced: 1}, d.now)
	if s := d.Take().Subscribe; s == nil || s.Own.End != 1 {
		t.Errorf("asks the new leader %+v", s)
	}
}
