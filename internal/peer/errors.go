package peer

import (
	"errors"
	"fmt"

	"chronik/internal/quorum"
)

// Why a call was not done. Errors other than ErrUnknown mean that nothing has changed.
var (
	// ErrUnknown is what errors.Is reports for an UnknownError.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrUnavailable: no active controller, or not the broker that was to be called, could be reached in time.
	ErrUnavailable = errors.New("not reached")
	// ErrBusy: the broker has as many calls of this one at a time as it takes. Try again.
	ErrBusy = errors.New("the broker has too many calls of this one already; try again")
	// ErrUnsupported: the broker is of an older release and does not know the call, or a part of it. Finish the upgrade.
	ErrUnsupported = errors.New("the broker at the other end does not know this call; upgrade it")
	// ErrInvalid: the request makes no sense.
	ErrInvalid = errors.New("the call is not valid")
	// ErrClosed: the Pool, the Client or the Server was closed.
	ErrClosed = errors.New("closed")
)

// UnknownError says that a call may or may not have taken effect (D4). It matches ErrUnknown, and quorum.ErrUnknownOutcome like the error
// of a decision of this broker's own.
type UnknownError struct {
	Method Method
	Cause  error
}

// Error says what was called, and why it is not known what came of it.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("%v may or may not have taken effect: %v", e.Method, e.Cause)
}

// Unwrap gives the cause.
func (e *UnknownError) Unwrap() []error {
	return []error{ErrUnknown, quorum.ErrUnknownOutcome, e.Cause}
}

// UnavailableError says whom a call did not reach. It matches ErrUnavailable.
type UnavailableError struct {
	Whom string
	Last error // of the attempts; nil if there was none
	Why  error // why there are no more of them: the context's cause
}

// Error says whom, and what was wrong when it was tried last.
func (e *UnavailableError) Error() string {
	if e.Last == nil {
		return fmt.Sprintf("%s was not reached, nothing has changed: %v", e.Whom, e.Why)
	}
	return fmt.Sprintf("%s was not reached, nothing has changed: %v; at last: %v", e.Whom, e.Why, e.Last)
}

// Unwrap gives both causes.
func (e *UnavailableError) Unwrap() []error {
	out := []error{ErrUnavailable}
	for _, err := range []error{e.Last, e.Why} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// notSent is a call that did not leave this broker.
type notSent struct{ cause error }

func (e *notSent) Error() string { return e.cause.Error() }
func (e *notSent) Unwrap() error { return e.cause }
