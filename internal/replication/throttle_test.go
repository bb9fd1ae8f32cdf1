package replication

import (
	"math/rand/v2"
	"testing"
	"time"
)

// pass has somebody who always wants more send messages of a size for a while, as soon as it may, and returns how much passed.
func pass(t *Throttle, now *time.Time, d time.Duration, most int, size func() int) (sum int64) {
	for end := now.Add(d); now.Before(end); {
		leave, wait := t.Take(most, *now)
		if leave == 0 {
			*now = now.Add(wait)
			continue
		}
		n := size()
		t.Settle(leave, n)
		sum += int64(n)
	}
	return sum
}

// TestThrottleKeepsItsRate: with messages that are smaller than a leave, larger, and of any size, what passes in ten seconds is the rate, but for the burst and one
// message.
func TestThrottleKeepsItsRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, rate := range []int64{1000, 100_000, 50_000_000} {
		for name, size := range map[string]func() int{
			"small": func() int { return 1000 }, "large": func() int { return 1 << 20 }, "any": func() int { return 1 + rng.IntN(1<<17) },
		} {
			var th Throttle
			now := time.Unix(1000, 0)
			th.SetRate(rate, now)
			got := pass(&th, &now, 10*time.Second, 64<<10, size)
			want := rate * 10
			if most := want + rate/10 + 1<<20; got > most {
				t.Errorf("rate %d, %s messages: %d bytes in ten seconds", rate, name, got)
			}
			if got < want-rate/10-1<<20 {
				t.Errorf("rate %d, %s messages: only %d bytes in ten seconds", rate, name, got)
			}
		}
	}
}

// TestThrottleAfterARest: rest is not saved up beyond the burst, and what was not used is given back.
func TestThrottleAfterARest(t *testing.T) {
	var th Throttle
	now := time.Unix(1000, 0)
	th.SetRate(1_000_000, now)
	now = now.Add(time.Hour)
	leave, _ := th.Take(1<<30, now)
	if leave != 100_000 {
		t.Errorf("leave for %d bytes after an hour", leave)
	}
	th.Settle(leave, 0)
	if leave, _ = th.Take(1<<30, now); leave != 100_000 {
		t.Errorf("leave for %d bytes when nothing was sent with the one before", leave)
	}
	th.Settle(leave, 2_000_000)
	leave, wait := th.Take(10, now)
	if leave != 0 || wait != time.Second {
		t.Errorf("leave for %d bytes and a wait of %v in debt", leave, wait)
	}
	now = now.Add(1900 * time.Millisecond)
	if leave, wait = th.Take(10, now); leave != 0 || wait > time.Millisecond {
		t.Errorf("leave for %d bytes and a wait of %v when the debt is just paid", leave, wait)
	}
	now = now.Add(wait)
	if leave, _ = th.Take(10, now); leave != 10 {
		t.Errorf("leave for %d bytes after the debt", leave)
	}
}

// TestThrottleRates: none, all, and a change, which forgets the debt; the clock may go back.
func TestThrottleRates(t *testing.T) {
	var th Throttle
	now := time.Unix(1000, 0)
	if leave, wait := th.Take(1, now); leave != 0 || wait != time.Second {
		t.Errorf("leave for %d bytes, wait %v, at rate 0", leave, wait)
	}
	th.SetRate(NoLimit, now)
	for range 100 {
		leave, _ := th.Take(1<<30, now)
		if leave != 1<<30 {
			t.Fatalf("leave for %d bytes without a limit", leave)
		}
		th.Settle(leave, 1<<30)
	}
	th.SetRate(1000, now)
	leave, _ := th.Take(1, now.Add(time.Millisecond))
	if leave != 1 {
		t.Fatalf("leave for %d bytes", leave)
	}
	th.Settle(leave, 1_000_000)
	th.SetRate(1000, now) // the same: the debt stays
	if leave, _ := th.Take(1, now.Add(time.Second)); leave != 0 {
		t.Error("a rate that is set again forgets the debt")
	}
	th.SetRate(2000, now.Add(time.Second))
	if leave, _ := th.Take(1, now); leave != 0 {
		t.Error("time that goes back fills the bucket")
	}
	if leave, _ := th.Take(1, now.Add(1100*time.Millisecond)); leave != 1 {
		t.Error("a new rate remembers the debt")
	}
}

// TestHeldFollower: a follower that is held asks without credit and gives what it is told to; what it was sent becomes due again when it is durable; let go,
// it gives the whole window.
func TestHeldFollower(t *testing.T) {
	d := follow(t, logOf(0, nil), 0)
	d.Take()
	d.Hold(true)
	if d.Take().Grant {
		t.Error("grants credit before it streams")
	}
	d.LinkLost(d.now)
	d.now = d.now.Add(retry)
	d.Tick(d.now)
	if q := d.Take().Subscribe; q == nil || q.Credit != 0 {
		t.Fatalf("the question is %+v, want one without credit", q)
	}
	d.accept(0, 0)
	if !d.Take().Grant || d.Due() != 100 {
		t.Errorf("%d bytes are due when the stream begins", d.Due())
	}
	if c, ok := d.Give(10); !ok || c.Bytes != 10 || c.Subscription != d.last || d.Due() != 90 {
		t.Errorf("gives %+v, %v, and %d are due", c, ok, d.Due())
	}
	if !d.get(Batches{From: 0, End: 1, Bytes: make([]byte, 10)}) {
		t.Fatal("a batch is not taken")
	}
	d.sync(1)
	if d.Due() != 100 {
		t.Errorf("%d bytes are due when what was sent is durable", d.Due())
	}
	d.Take()
	d.Hold(false)
	if c, ok := d.Credit(); !d.Take().Grant || !ok || c.Bytes != 100 {
		t.Errorf("let go, it gives %+v, %v", c, ok)
	}
	if _, ok := d.Give(1); ok {
		t.Error("gives more than the window")
	}
}
