package replica

import "testing"

// TestQueueKeepsOrderAndLittleMemory pushes and takes in runs of all lengths, so that the list is moved and let go of.
func TestQueueKeepsOrderAndLittleMemory(t *testing.T) {
	var q queue[*int]
	pushed, taken := 0, 0
	for run := range 1000 {
		for range run {
			q.list = append(q.list, new(pushed))
			pushed++
		}
		for range run / 2 {
			if got := *q.list[q.head]; got != taken {
				t.Fatalf("entry %d came when %d was due", got, taken)
			}
			q.dropFirst()
			taken++
		}
		if dead := q.head; dead > keptEntries && dead > len(q.list)-q.head {
			t.Fatalf("%d taken entries are kept beside %d", dead, len(q.list)-q.head)
		}
	}
	for taken < pushed {
		q.dropFirst()
		taken++
	}
	if len(q.list) != 0 || q.head != 0 || cap(q.list) > keptEntries {
		t.Errorf("the empty queue has length %d, head %d, capacity %d", len(q.list), q.head, cap(q.list))
	}
}
