package invariant

import "fmt"

// Violation is the value that Assert and Failf panic with.
type Violation struct {
	// What says which invariant is broken, as its name (D5, L3 ...) where it has one, and how.
	What string
}

// Error makes a Violation readable where a panic is printed or logged.
func (v Violation) Error() string { return "invariant violated: " + v.What }

// Assert panics with a Violation unless cond holds. It costs a branch and does not allocate: what is a constant string.
func Assert(cond bool, what string) {
	if !cond {
		panic(Violation{What: what})
	}
}

// Failf panics with a Violation whose text needs values. It stands behind an if of the caller's, so that the
// values are boxed for the formatting only when the check has failed.
func Failf(format string, args ...any) {
	panic(Violation{What: fmt.Sprintf(format, args...)})
}
