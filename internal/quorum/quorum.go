package quorum

import (
	"context"
	"errors"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
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
	// Decide's own, the context's, or one that wraps ErrStopped. After the context's error the batch may still
	// take effect.
	Propose(context.Context, Decide) (*image.Image, error)
	// Images is where the newest applied image is found.
	Images() *image.Store
	// Done is closed when the log has stopped for good; Err then says why, nil after Close.
	Done() <-chan struct{}
	Err() error
}

// ErrStopped: the log has stopped, after an error that nothing may advance past (M3), or because it was closed.
var ErrStopped = errors.New("the metadata log has stopped")
