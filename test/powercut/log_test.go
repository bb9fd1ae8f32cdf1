package powercut

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// logTail keeps the last lines of a node's log.
type logTail struct {
	mu    sync.Mutex
	lines []string
}

const tailLines = 40

func (l *logTail) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			a.Value = slog.StringValue(a.Value.Time().Format("05.000000"))
		}
		return a
	}}))
}

// Write takes one line: slog writes whole lines.
func (l *logTail) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("connection closed")) {
		return len(line), nil // by the hundred, for each cut
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == tailLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}
