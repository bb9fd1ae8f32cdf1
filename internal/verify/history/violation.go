package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is what is wrong.
type Kind string

// The violations.
const (
	Lost         Kind = "lost-write"          // acknowledged, and not there at the end
	Vanished     Kind = "vanished-record"     // shown to a consumer, and not there at the end
	Duplicated   Kind = "duplicate"           // one record at two offsets
	Inconsistent Kind = "inconsistent-offset" // two records at one offset, or a record elsewhere than acknowledged
	Reordered    Kind = "producer-order"      // a producer's records are not in the order in which it sent them
	Skipped      Kind = "poll-skip"           // a poll jumped over records that exist
	WentBack     Kind = "non-monotonic-poll"  // a consumer was shown an offset again, or a smaller one
	Rewound      Kind = "offset-rewind"       // the end of the log moved back
	Ghost        Kind = "ghost"               // a record is there that failed for certain, or was never written
	Damaged      Kind = "damaged-record"      // other bytes than those written
	RealTime     Kind = "real-time-order"     // written after another was acknowledged, and stands before it
)

// The notes: nothing that was promised.
const (
	RetriedTwice  Kind = "plain-duplicate"  // a plain producer's retry is stored twice
	LostByLeader  Kind = "acks1-loss"       // acknowledged with acks=1, lost with the leader
	Expired       Kind = "expired"          // below the start of the log: deleted, by somebody or by retention
	WatermarkFell Kind = "watermark-behind" // a new leader's high watermark was behind for a moment
)

var meanings = map[Kind]string{
	Lost:          "A record was acknowledged and is not in the log: data was lost.",
	Vanished:      "A consumer was given a record that is not in the log any more: others never see what it acted upon.",
	Duplicated:    "A record of an idempotent producer, or one that was sent only once, is stored more than once: it will be processed more than once.",
	Inconsistent:  "Two clients were told of different records at one offset: replicas differ, or an acknowledgement named the wrong place.",
	Reordered:     "A producer's records stand in another order than it sent them, although its settings promise the order.",
	Skipped:       "A consumer was not given records that stand between two that it was given.",
	WentBack:      "A consumer that was not restarted was given an offset at or below one that it had.",
	Rewound:       "The log ended, for a client, below where it ended before: what was visible was taken back.",
	Ghost:         "A record is stored whose producer was told that it is not, or which nobody sent.",
	Damaged:       "A record's bytes are not those that were sent.",
	RealTime:      "A record that was sent after another was acknowledged stands before it.",
	RetriedTwice:  "Allowed: without idempotence a retry may be stored twice.",
	LostByLeader:  "Allowed with acks=1: the leader acknowledged alone, and another took over without the record. Use acks=all to exclude it.",
	Expired:       "Allowed: the start of the log moved past the record.",
	WatermarkFell: "Allowed: after an election the high watermark may lag until the followers have answered; no record that was visible is taken back.",
}

// Kinds lists all, sorted.
func Kinds() []Kind { return slices.Sorted(maps.Keys(meanings)) }

// Meaning explains a kind in a sentence.
func (k Kind) Meaning() string { return meanings[k] }

// Note tells whether the kind is allowed.
func (k Kind) Note() bool {
	return k == RetriedTwice || k == LostByLeader || k == Expired || k == WatermarkFell
}

// Violation is one broken promise, or a note.
type Violation struct {
	Kind      Kind          `json:"kind"`
	Partition int32         `json:"partition"`
	Offset    int64         `json:"offset"`
	Time      time.Duration `json:"time_ns"` // when it was noticed, since the beginning
	What      string        `json:"what"`
	Writes    []Fact        `json:"writes,omitempty"` // what their producers know of the records involved
}

// Fact is what a producer knows of a record.
type Fact struct {
	Value     string        `json:"value"` // producer/sequence
	Partition int32         `json:"partition"`
	Outcome   string        `json:"outcome"`
	Offset    *int64        `json:"acked_offset,omitempty"`
	Invoked   time.Duration `json:"invoked_ns"`
	Done      time.Duration `json:"done_ns,omitempty"`
	Acks      int           `json:"acks"`
	Mode      string        `json:"mode"` // idempotent, plain or once
}

// String is one line, without the kind.
func (v *Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "partition %d: %s", v.Partition, v.What)
	for _, f := range v.Writes {
		fmt.Fprintf(&b, "; %s (%s, acks=%d) sent at %s, %s", f.Value, f.Mode, f.Acks, seconds(f.Invoked), f.Outcome)
		if f.Offset != nil {
			fmt.Fprintf(&b, " at offset %d", *f.Offset)
		}
		if f.Done > 0 {
			fmt.Fprintf(&b, " at %s", seconds(f.Done))
		}
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// maxKept bounds the violations of one kind that are kept; all are counted.
const maxKept = 10_000

// Findings is the violations of one kind, or the notes.
type Findings struct {
	Kind    Kind         `json:"kind"`
	Note    bool         `json:"note"` // not a violation
	Meaning string       `json:"meaning"`
	Count   int64        `json:"count"`
	First   []*Violation `json:"first"` // at most 10,000
}

// report enters a violation. values are the records that it is about.
func (c *Checker) report(kind Kind, p int32, offset int64, values []Value, format string, args ...any) {
	f := c.found[kind]
	if f == nil {
		f = &Findings{Kind: kind, Note: kind.Note(), Meaning: kind.Meaning()}
		c.found[kind] = f
	}
	f.Count++
	if len(f.First) == maxKept {
		return
	}
	v := &Violation{Kind: kind, Partition: p, Offset: offset, Time: c.now, What: fmt.Sprintf(format, args...)}
	for i, value := range values {
		if value.known() && !slices.Contains(values[:i], value) {
			v.Writes = append(v.Writes, c.fact(value))
		}
	}
	f.First = append(f.First, v)
}

func (c *Checker) fact(v Value) Fact {
	w, rules := c.write(v), c.rules(v)
	f := Fact{Value: v.String(), Partition: w.partition, Outcome: w.outcome.String(), Invoked: w.invoked, Done: w.done, Acks: rules.Acks, Mode: rules.mode()}
	if w.outcome == acked {
		f.Offset = &w.offset
	}
	return f
}
