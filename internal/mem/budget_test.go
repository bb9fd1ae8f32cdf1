package mem

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestBudgetIsFairAndExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if !b.TryAcquire(80) {
			t.Fatal("80 of 100 refused")
		}
		var mu sync.Mutex
		var served []int64
		for _, n := range []int64{60, 10, 30} { // in this order, one after the other
			go func() {
				if err := b.Acquire(t.Context(), n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				served = append(served, n)
			}()
			synctest.Wait()
		}
		if b.Waiting() != 3 || len(served) != 0 {
			t.Fatalf("%d wait, served %v: the 10 must not overtake the 60", b.Waiting(), served)
		}
		if b.TryAcquire(5) {
			t.Error("TryAcquire overtook the queue")
		}
		b.Release(40) // 40 in use: the 60 fits exactly, nothing else does
		synctest.Wait()
		if !slices.Equal(served, []int64{60}) || b.InUse() != 100 {
			t.Fatalf("served %v, %d in use", served, b.InUse())
		}
		b.Release(60)
		synctest.Wait()
		slices.Sort(served)
		if !slices.Equal(served, []int64{10, 30, 60}) || b.InUse() != 80 || b.Waiting() != 0 {
			t.Errorf("served %v, %d in use, %d wait", served, b.InUse(), b.Waiting())
		}
	})
}

// TestBudgetCancelUnblocksThoseBehind: a waiter that gives up at the head must not hold up a smaller one behind it.
func TestBudgetCancelUnblocksThoseBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		b.TryAcquire(50)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- b.Acquire(ctx, 100) }()
		synctest.Wait()
		served := make(chan error, 1)
		go func() { served <- b.Acquire(t.Context(), 50) }()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if b.InUse() != 100 || b.Waiting() != 0 {
			t.Errorf("%d in use, %d wait", b.InUse(), b.Waiting())
		}
	})
}

func TestBudgetRefusesAtOnce(t *testing.T) {
	b := NewBudget(100)
	if err := b.Acquire(context.Background(), 101); !errors.Is(err, ErrOverBudget) {
		t.Errorf("got %v, want ErrOverBudget", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Acquire(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if b.InUse() != 0 || b.Limit() != 100 {
		t.Errorf("%d of %d in use after refusals", b.InUse(), b.Limit())
	}
}

func TestBudgetMistakesPanic(t *testing.T) {
	mustViolate(t, "no bytes", func() { NewBudget(0) })
	b := NewBudget(10)
	b.TryAcquire(5)
	mustViolate(t, "6 bytes released", func() { b.Release(6) })
	mustViolate(t, "negative", func() { b.Release(-1) })
	mustViolate(t, "negative", func() { b.TryAcquire(-1) })
}

// TestBudgetUnderContention cancels at random moments; whatever the interleaving, nothing leaks and the limit holds.
func TestBudgetUnderContention(t *testing.T) {
	b := NewBudget(10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+g)%3 == 0 {
					go cancel()
				}
				n := int64(i%10 + 1)
				if b.Acquire(ctx, n) == nil {
					if used := b.InUse(); used > b.Limit() {
						t.Errorf("%d in use, over the limit", used)
					}
					b.Release(n)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if b.InUse() != 0 || b.Waiting() != 0 {
		t.Errorf("%d in use, %d wait at the end", b.InUse(), b.Waiting())
	}
}
