package sim

import (
	"fmt"
	"strings"
	"time"
)

// kept is how many lines of the trace are kept to be printed with a failure.
const kept = 160

// line is one thing that happened. It is put into words only if somebody wants to read it.
type line struct {
	at   time.Duration
	who  nodeID
	what string // a format for args, up to as many as it has verbs
	args [6]int64
}

func (l *line) String() string {
	args := make([]any, strings.Count(l.what, "%"))
	for i := range args {
		args[i] = l.args[i]
	}
	return fmt.Sprintf("%12.6fs %-8v %s", l.at.Seconds(), l.who, fmt.Sprintf(l.what, args...))
}

// trace is what happened: the last lines of it, and the hash of all.
type trace struct {
	ring  [kept]line
	count uint64
	hash  uint64
	print func(string) // as it happens; nil: not
}

// Of FNV-1a, which is good enough to tell two runs apart.
const (
	hashBasis = 14695981039346656037
	hashPrime = 1099511628211
)

func (t *trace) mix(v uint64) {
	if t.hash == 0 {
		t.hash = hashBasis
	}
	for range 4 {
		t.hash = (t.hash ^ v&0xffff) * hashPrime
		v >>= 16
	}
}

func (t *trace) add(l line) {
	t.mix(uint64(l.at))
	t.mix(uint64(l.who))
	for i := 0; i < len(l.what); i++ {
		t.hash = (t.hash ^ uint64(l.what[i])) * hashPrime
	}
	for _, a := range l.args {
		t.mix(uint64(a))
	}
	if t.print != nil {
		t.print(l.String())
	}
	t.ring[t.count%kept] = l
	t.count++
}

// last returns the lines that are kept, oldest first.
func (t *trace) last() string {
	var b strings.Builder
	for i := max(t.count, kept) - kept; i < t.count; i++ {
		b.WriteString(t.ring[i%kept].String())
		b.WriteByte('\n')
	}
	return b.String()
}
