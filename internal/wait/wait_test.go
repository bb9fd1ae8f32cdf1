package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := For(t.Context(), time.Hour); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(time.Minute, func() { cancel(why) })
		begin = time.Now()
		if err := For(ctx, time.Hour); !errors.Is(err, why) || time.Since(begin) != time.Minute {
			t.Errorf("after %v: %v, want the cause after a minute", time.Since(begin), err)
		}
	})
}
