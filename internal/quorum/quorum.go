package quorum

import (
	"context"
	"errors"
	"fmt"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Decide looks at the newest image and returns the commands that change it, none if nothing needs to change,
// or why it refuses. It must be pure: it may be called again if its commands lost a race.
type Decide func(*image.Image) ([]*command.Command, error)

// Applied is told of every change, in order, before the proposer is answered and before readers see the
// image. It is how the rest of the node follows the metadata.
type Applied func(*image.Image, *image.Delta)

// Log is the metadata log as its users see it.
type Log interface {
	// Propose decides, commits and applies one batch of commands, and returns the image after it. The error is
	// Decide's own, the context's, or wraps ErrNoSpace, ErrTooLarge, ErrNotController or command.ErrFormat, all of which have
	// changed nothing, or ErrStopped or ErrUnknownOutcome. After these two, and after the context's error, the batch may
	// still take effect.
	Propose(context.Context, Decide) (*image.Image, error)
	// Images is where the newest applied image is found.
	Images() *image.Store
	// Done is closed when the log has stopped for good; Err then says why, nil after Close.
	Done() <-chan struct{}
	Err() error
}

var (
	// ErrStopped says that the log has stopped, after an error that nothing may advance past (M3), or because it was closed.
	ErrStopped = errors.New("the metadata log has stopped")
	// ErrNoSpace says that the disk is full. Nothing has changed, and the same works once there is space (E3).
	ErrNoSpace = errors.New("the disk is full and the change to the metadata was undone; free space and retry")
	// ErrTooLarge says that the change does not fit into one entry of the log. Ask for less at a time.
	ErrTooLarge = errors.New("the change to the metadata is too large for one request; ask for less at a time")
	// ErrNotController says that another node decides, or none at the moment. Nothing has changed; see NotControllerError.
	ErrNotController = errors.New("this node is not the active controller")
	// ErrUnknownOutcome says that this node ceased to be the active controller before it knew whether the change was committed.
	// Look at the metadata before you try again.
	ErrUnknownOutcome = errors.New("this node ceased to be the active controller: the change may or may not take effect")
)

// NotControllerError says who may be the active controller. It matches ErrNotController.
type NotControllerError struct {
	Leader model.BrokerID // model.NoBroker if it is not known
	Term   uint64
}

// Error says where to go.
func (e *NotControllerError) Error() string {
	if e.Leader == model.NoBroker {
		return ErrNotController.Error() + ", and which one is, is not known; retry"
	}
	return fmt.Sprintf("%v; ask node %d", ErrNotController, e.Leader)
}

// Unwrap makes errors.Is(err, ErrNotController) true.
func (e *NotControllerError) Unwrap() error { return ErrNotController }
