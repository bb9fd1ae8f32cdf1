package replication

import (
	"math"
	"time"
)

// NoLimit is the rate of a Throttle that holds nothing back, and Kafka's default.
const NoLimit int64 = math.MaxInt64

const (
	// burstTime is how much a Throttle lets pass at once after a rest, as time at its rate. It is short: the bound is to hold for any second.
	burstTime = 100 * time.Millisecond
	// longestWait is when whoever was refused asks again at the latest: the rate may have changed.
	longestWait = time.Second
)

// Throttle bounds the bytes per second of replicas that catch up (KIP-73): a bucket that fills at the rate, and that a message which is larger
// than what is in it leaves in debt. So over any time no more passes than the rate allows, a burst and one message. The zero value
// has the rate 0: nothing passes.
//
// Time is an argument, and no goroutine but one may call it at a time.
type Throttle struct {
	rate   int64
	tokens float64 // bytes; below 0: debt
	at     time.Time
}

// SetRate changes the rate. Another one begins without a rest or a debt from before.
func (t *Throttle) SetRate(rate int64, now time.Time) {
	if rate != t.rate {
		t.rate, t.tokens, t.at = rate, 0, now
	}
}

// Take takes leave to send up to so many bytes, more than 0. If none may be sent yet it returns 0, and when to ask again. Small leaves
// are not given where larger ones are wanted: each costs a read or a message. Settle must follow.
func (t *Throttle) Take(most int, now time.Time) (leave int, wait time.Duration) {
	switch {
	case t.rate == NoLimit:
		return most, 0
	case t.rate <= 0:
		return 0, longestWait
	}
	t.fill(now)
	least := min(float64(most), t.burst()/2)
	if t.tokens < least {
		missing := (least - t.tokens) / float64(t.rate)
		return 0, min(longestWait, time.Duration(missing*float64(time.Second))+time.Microsecond)
	}
	leave = max(1, min(most, int(t.tokens)))
	t.tokens -= float64(leave)
	return leave, 0
}

// Settle tells how many bytes were really sent with a leave: less, or more if one message alone was larger.
func (t *Throttle) Settle(leave, sent int) {
	if t.rate != NoLimit {
		t.tokens += float64(leave - sent)
	}
}

func (t *Throttle) fill(now time.Time) {
	if gone := now.Sub(t.at); gone > 0 {
		t.at = now
		t.tokens = min(t.burst(), t.tokens+gone.Seconds()*float64(t.rate))
	}
}

func (t *Throttle) burst() float64 { return burstTime.Seconds() * float64(t.rate) }
