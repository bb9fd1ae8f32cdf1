package vfs

import (
	"errors"
	"syscall"
)

// MarkNoSpace makes errors.Is(err, ErrNoSpace) true for an error that says that the disk (ENOSPC) or a quota on it
// (EDQUOT) is full, and returns any other error, nil too, as it is. The text and the chain of the error stay.
func MarkNoSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noSpace{err}
	}
	return err
}

// noSpace is an error that is ErrNoSpace as well as what it wraps.
type noSpace struct{ error }

func (e noSpace) Is(target error) bool { return target == ErrNoSpace }
func (e noSpace) Unwrap() error        { return e.error }
