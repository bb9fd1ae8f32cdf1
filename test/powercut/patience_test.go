package powercut

import (
	"context"
	"fmt"
	"time"
)

// patience bounds everything that must come to an end.
const patience = 60 * time.Second

// errLate is the cause of a context that ended because somebody hangs.
var errLate = fmt.Errorf("it took longer than %v", patience)

// withPatience returns a context that ends after patience. It counts ticks, not time: a process that was stopped for an
// hour, or a machine that slept, has not hung.
func withPatience(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		const tick = time.Second
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for range patience / tick {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		cancel(errLate)
	}()
	return ctx, func() { cancel(nil) }
}
