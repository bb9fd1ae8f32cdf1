package mem

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"chronik/internal/invariant"
)

// mustViolate fails unless f panics with a Violation whose text has want in it.
func mustViolate(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		v, ok := recover().(invariant.Violation)
		if !ok || !strings.Contains(v.What, want) {
			t.Errorf("got %q, want a violation that says %q", v.What, want)
		}
	}()
	f()
}

func TestFootprint(t *testing.T) {
	for _, c := range []struct{ n, want int }{
		{0, 1 << 10}, {1, 1 << 10}, {1 << 10, 1 << 10}, {1<<10 + 1, 2 << 10}, {3000, 4 << 10},
		{1 << 20, 1 << 20}, {1<<20 + 1, 2 << 20}, {MaxPooled, MaxPooled}, {MaxPooled + 1, MaxPooled + 1},
	} {
		if got := Footprint(c.n); got != c.want {
			t.Errorf("Footprint(%d) = %d, want %d", c.n, got, c.want)
		}
		b := Get(c.n)
		if got := b.Bytes(); len(got) != c.n || cap(got) != c.n {
			t.Errorf("Get(%d) has length %d and capacity %d", c.n, len(got), cap(got))
		}
		b.Release()
	}
}

func TestLastReleaseRecycles(t *testing.T) {
	budget := NewBudget(4 << 10)
	p := NewPool(budget)
	b, err := p.Acquire(context.Background(), 3000)
	if err != nil {
		t.Fatal(err)
	}
	b.Retain()
	b.Release()
	if got := budget.InUse(); got != 4<<10 {
		t.Errorf("%d bytes in use while one holder is left, want %d", got, 4<<10)
	}
	if _, ok := p.TryAcquire(1); ok {
		t.Error("a buffer came out of a budget that is used up")
	}
	b.Release()
	if got := budget.InUse(); got != 0 {
		t.Errorf("%d bytes in use after the last release", got)
	}
	again, ok := p.TryAcquire(1)
	if !ok {
		t.Fatal("the budget did not come back")
	}
	again.Release()
}

func TestAcquireRefusesWhatNeverFits(t *testing.T) {
	p := NewPool(NewBudget(1 << 20))
	if _, err := p.Acquire(context.Background(), 1<<20+1); !errors.Is(err, ErrOverBudget) {
		t.Errorf("got %v, want ErrOverBudget", err)
	}
}

func TestPoolWithoutBudgetNeverRefuses(t *testing.T) {
	p := NewPool(nil)
	a, err := p.Acquire(context.Background(), 100)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := p.TryAcquire(100)
	if !ok {
		t.Fatal("refused")
	}
	a.Release()
	b.Release()
}

func TestReferenceCountMistakesPanic(t *testing.T) {
	for _, n := range []int{10, MaxPooled + 1} {
		b := NewPool(nil).Get(n)
		b.Release()
		mustViolate(t, "too often", b.Release)
		b = NewPool(nil).Get(n)
		b.Release()
		mustViolate(t, "retained after its last release", b.Retain)
	}
}

func TestPoison(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("needs a build with the tag invariants")
	}
	b := NewPool(nil).Get(100)
	stale := b.Bytes()
	copy(stale, "request")
	b.Release()
	for i, c := range stale {
		if c != poisonByte {
			t.Fatalf("byte %d is %#x after the release, want the poison", i, c)
		}
	}
	mustViolate(t, "Bytes of a buffer that was released", func() { b.Bytes() })
	b.checkPoison()
	stale[7] = 1
	mustViolate(t, "byte 7", b.checkPoison)
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops buffers on purpose under the race detector")
	}
	p := NewPool(NewBudget(1 << 30))
	ctx := context.Background()
	for _, n := range []int{100, 64 << 10, 1 << 20} {
		p.Get(n).Release()
		allocs := testing.AllocsPerRun(200, func() {
			b, err := p.Acquire(ctx, n)
			if err != nil {
				t.Fatal(err)
			}
			b.Retain()
			b.Release()
			b.Release()
		})
		if allocs != 0 {
			t.Errorf("%d bytes: %v allocations per use, want 0", n, allocs)
		}
	}
}

// TestHoldersInParallel shares buffers between goroutines; each holder must see its own bytes until it releases.
func TestHoldersInParallel(t *testing.T) {
	budget := NewBudget(64 << 10)
	p := NewPool(budget)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 300 {
				b, err := p.Acquire(context.Background(), 2000)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range b.Bytes() {
					b.Bytes()[i] = byte(g)
				}
				b.Retain()
				wg.Go(func() {
					defer b.Release()
					for i, c := range b.Bytes() {
						if c != byte(g) {
							t.Errorf("byte %d is %d, want %d", i, c, g)
							return
						}
					}
				})
				b.Release()
			}
		})
	}
	wg.Wait()
	if got := budget.InUse(); got != 0 {
		t.Errorf("%d bytes in use at the end", got)
	}
}

func BenchmarkGetRelease(b *testing.B) {
	p := NewPool(NewBudget(1 << 30))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			buf, ok := p.TryAcquire(64 << 10)
			if !ok {
				b.Fatal("refused")
			}
			buf.Release()
		}
	})
}
