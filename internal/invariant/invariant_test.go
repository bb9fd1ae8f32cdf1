package invariant

import (
	"errors"
	"testing"
)

// violation runs f and returns the Violation that it panicked with, or nil.
func violation(t *testing.T, f func()) (v *Violation) {
	t.Helper()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case Violation:
			v = &r
		default:
			t.Errorf("panicked with %T (%v), not with a Violation", r, r)
		}
	}()
	f()
	return nil
}

func TestAssert(t *testing.T) {
	if v := violation(t, func() { Assert(true, "D5: fine") }); v != nil {
		t.Errorf("an assertion that holds panicked: %v", v)
	}
	v := violation(t, func() { Assert(false, "D5: offsets go back") })
	if v == nil || v.What != "D5: offsets go back" {
		t.Fatalf("got %v, want the violation of D5", v)
	}
	var err error = *v
	if got := err.Error(); got != "invariant violated: D5: offsets go back" {
		t.Errorf("Error() = %q", got)
	}
	if !errors.As(err, new(Violation)) {
		t.Error("a Violation is not found by errors.As")
	}
}

func TestFailf(t *testing.T) {
	v := violation(t, func() { Failf("L1: offset %d after %d", 3, 5) })
	if v == nil || v.What != "L1: offset 3 after 5" {
		t.Fatalf("got %v", v)
	}
}

func TestAssertDoesNotAllocate(t *testing.T) {
	n := 0
	if allocs := testing.AllocsPerRun(100, func() { n++; Assert(n > 0, "counts up") }); allocs != 0 {
		t.Errorf("%v allocations per assertion, want 0", allocs)
	}
}
