package bench

import (
	"fmt"
	"slices"
	"sync"
)

// board is where members of a group say what they own. It tells when the group is stable: as many members as there should be, all of one epoch (generation) that is newer than the one in
// which the group was stable last, and each partition owned by one of them. It notes partitions that two members own at a time (G2).
type board struct {
	mu       sync.Mutex
	owners   []int // by partition; -1: nobody
	unowned  int
	members  map[int]standing
	want     int
	after    int32
	stable   chan struct{} // closed when it is; nil: nobody waits
	problems []string
}

// standing is what a member has said last.
type standing struct {
	epoch int32
	owned []int32
}

func newBoard(partitions int) *board {
	return &board{owners: slices.Repeat([]int{-1}, partitions), unowned: partitions, members: make(map[int]standing), after: -1}
}

// expect returns a channel that is closed when the group of so many members is stable anew.
func (b *board) expect(members int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.want, b.stable = members, make(chan struct{})
	return b.stable
}

// post says what a member owns from now on. It must be called before the coordinator is told of what was given up.
func (b *board) post(member int, epoch int32, owned []int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(member)
	for _, p := range owned {
		switch {
		case p < 0 || int(p) >= len(b.owners):
			b.problems = append(b.problems, fmt.Sprintf("member %d was given partition %d, which does not exist", member, p))
			continue
		case b.owners[p] >= 0:
			b.problems = append(b.problems, fmt.Sprintf("partition %d is owned by members %d and %d at a time (epoch %d)", p, b.owners[p], member, epoch))
		default:
			b.unowned--
		}
		b.owners[p] = member
	}
	b.members[member] = standing{epoch, owned}
	b.judge()
}

// gone takes a member out.
func (b *board) gone(member int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(member)
	delete(b.members, member)
}

func (b *board) drop(member int) {
	for _, p := range b.members[member].owned {
		if p >= 0 && int(p) < len(b.owners) && b.owners[p] == member {
			b.owners[p] = -1
			b.unowned++
		}
	}
}

func (b *board) judge() {
	if b.stable == nil || len(b.members) != b.want || b.unowned > 0 {
		return
	}
	first := true
	var epoch int32
	for _, m := range b.members {
		if m.epoch <= b.after || !first && m.epoch != epoch {
			return
		}
		first, epoch = false, m.epoch
	}
	b.after = epoch
	close(b.stable)
	b.stable = nil
}

// missing says why the group is not stable.
func (b *board) missing() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	epochs := make(map[int32]int)
	for _, m := range b.members {
		epochs[m.epoch]++
	}
	return fmt.Sprintf("%d of %d members, %d of %d partitions without an owner, members by epoch: %v (stable last in %d)",
		len(b.members), b.want, b.unowned, len(b.owners), epochs, b.after)
}
