package quorum

import "testing"

// TestM2LateAnswers: a read is answered for its own round only, and two processes of a replica do not number their rounds alike.
func TestM2LateAnswers(t *testing.T) {
	before, now := newReads(), newReads()
	if before.last == now.last {
		t.Fatal("the rounds of two processes have the same numbers")
	}
	answer := make(chan readable, 1)
	now.last++
	now.round, now.asked = now.last, []reader{{answer: answer}}
	now.answer(Read{ID: before.last + 1, Index: 5})
	select {
	case a := <-answer:
		t.Errorf("answered by another process's round: %+v", a)
	default:
	}
	now.answer(Read{ID: now.round, Index: 7})
	if a := <-answer; a.index != 7 || a.err != nil {
		t.Errorf("%+v, want index 7", a)
	}
}
