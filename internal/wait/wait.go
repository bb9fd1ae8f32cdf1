// Package wait lets time pass until there is reason to stop. In a synctest bubble it is virtual time.
package wait

import (
	"context"
	"time"
)

// For returns nil when d has passed, or the cause of ctx's end if that comes first. A ctx that has ended already, with a d that is not
// above 0, gives either.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
