package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	logBurst  = 20 // lines
	logPeriod = time.Second
)

// limitedLog writes at most logBurst lines per logPeriod: what peers send must not fill the disk (E2). What it leaves out it counts,
// and says so with the next line that it writes.
type limitedLog struct {
	log *slog.Logger

	mu      sync.Mutex
	began   time.Time
	lines   int
	omitted int
}

func newLimitedLog(l *slog.Logger) *limitedLog { return &limitedLog{log: l} }

func (l *limitedLog) debug(msg string, c *Conn, err error, args ...any) {
	l.write(slog.LevelDebug, msg, c, err, args)
}

func (l *limitedLog) info(msg string, c *Conn, err error, args ...any) {
	l.write(slog.LevelInfo, msg, c, err, args)
}

func (l *limitedLog) warn(msg string, c *Conn, err error, args ...any) {
	l.write(slog.LevelWarn, msg, c, err, args)
}

// panicked logs a handler's panic, whatever the limit: it is our mistake, and its connection is gone.
func (l *limitedLog) panicked(c *Conn, key int16, value any, stack []byte) {
	l.log.Error("a request's handler panicked; its connection is closed, others are not affected: please report this",
		"connection", c.String(), "key", key, "panic", value, "stack", string(stack))
}

func (l *limitedLog) write(level slog.Level, msg string, c *Conn, err error, args []any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	omitted, ok := l.admit(time.Now())
	if !ok {
		return
	}
	if c != nil {
		args = append(args, "connection", c.String())
	}
	args = append(args, "reason", err)
	if omitted > 0 {
		args = append(args, "similar_lines_left_out", omitted)
	}
	l.log.Log(ctx, level, msg, args...)
}

// admit tells whether a line may be written now, and how many were left out since the last one.
func (l *limitedLog) admit(now time.Time) (omitted int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) >= logPeriod {
		l.began, l.lines = now, 0
	}
	if l.lines >= logBurst {
		l.omitted++
		return 0, false
	}
	l.lines++
	omitted, l.omitted = l.omitted, 0
	return omitted, true
}
