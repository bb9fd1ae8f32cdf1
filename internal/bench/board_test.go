package bench

import (
	"strings"
	"testing"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A group is stable when all are of one new epoch and each partition has an owner, and not a moment earlier.
func TestBoardKnowsWhenAGroupIsStable(t *testing.T) {
	b := newBoard(4)
	stable := b.expect(2)
	b.post(0, 1, []int32{0, 1, 2, 3})
	b.post(1, 2, nil)
	if closed(stable) {
		t.Fatal("stable with members of two epochs")
	}
	b.post(0, 2, []int32{0, 1})
	if closed(stable) {
		t.Fatal("stable while two partitions have no owner")
	}
	b.post(1, 2, []int32{3, 2})
	if !closed(stable) {
		t.Fatalf("not stable: %s", b.missing())
	}
	stable = b.expect(1)
	b.gone(1)
	b.post(0, 2, []int32{0, 1, 2, 3})
	if closed(stable) {
		t.Fatal("stable in the epoch in which it was stable before")
	}
	b.post(0, 3, []int32{0, 1, 2, 3})
	if !closed(stable) || len(b.problems) > 0 {
		t.Fatalf("not stable: %s; %v", b.missing(), b.problems)
	}
}

func TestBoardNotesTwoOwners(t *testing.T) {
	b := newBoard(2)
	b.post(0, 1, []int32{0, 1})
	b.post(1, 1, []int32{1})
	if len(b.problems) != 1 || !strings.Contains(b.problems[0], "partition 1 is owned by members 0 and 1") {
		t.Errorf("%q", b.problems)
	}
	b.post(1, 1, []int32{2})
	if len(b.problems) != 2 || !strings.Contains(b.problems[1], "does not exist") {
		t.Errorf("%q", b.problems)
	}
	b.gone(0) // what another member took over stays that one's
	if b.gone(1); b.unowned != 2 {
		t.Errorf("%d partitions without an owner, want 2", b.unowned)
	}
}
