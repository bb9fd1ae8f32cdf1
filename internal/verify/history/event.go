package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EventKind says what happened.
type EventKind string

// The kinds of events, and which fields of an Event they use beside Time and Kind.
const (
	Opened      EventKind = "opened"       // Partition, Start, End: what there was before. Offsets below End are nobody's business.
	Producing   EventKind = "producing"    // Client, Producer: how a producer writes. Before its first invocation.
	Invoked     EventKind = "invoked"      // Value, Partition: about to be given to the client
	Acked       EventKind = "acked"        // Value, Partition, Offset
	Failed      EventKind = "failed"       // Value, Reason: it is certain that it was not and will not be written
	Unknown     EventKind = "unknown"      // Value, Reason: it may be there, or come
	Positioned  EventKind = "positioned"   // Client, Partition, Offset: where a consumer starts, or starts again
	Polled      EventKind = "polled"       // Client, Partition, Offset (the position), Start and End (watermarks, -1: not known), Runs
	OutOfRange  EventKind = "out-of-range" // Client, Partition, Offset: the broker says that there is no such position
	Truncated   EventKind = "truncated"    // Client, Partition, Offset, End: the client was told that the log ends before its position
	Listed      EventKind = "listed"       // Client, Partition, Start, End: offsets asked for, each client one at a time
	Led         EventKind = "led"          // Partition, Client (node), Offset (epoch): a leader that was seen, -1: none
	FinalRead   EventKind = "final-read"   // Partition, Runs: when all is over and healed
	FinalBounds EventKind = "final-bounds" // Partition, Start, End: all of it has been read
)

// Event is one thing that a client did or saw.
type Event struct {
	Time      time.Duration `json:"t"` // since the history began, on a clock that does not jump
	Kind      EventKind     `json:"e"`
	Partition int32         `json:"p,omitempty"`
	Client    int32         `json:"c,omitempty"`
	Value     Value         `json:"v,omitzero"`
	Offset    int64         `json:"o,omitempty"`
	Start     int64         `json:"start,omitempty"`
	End       int64         `json:"end,omitempty"`
	Runs      []Run         `json:"r,omitempty"`
	Producer  *Producer     `json:"producer,omitempty"`
	Reason    string        `json:"why,omitempty"`
}

// Producer is how one of the producers writes, and so what it is promised.
type Producer struct {
	Acks        int  `json:"acks"`           // 1 or -1
	Idempotent  bool `json:"idempotent"`     // each record at most once
	MaxInFlight int  `json:"max_in_flight"`  // requests; with 1, plain producers too keep their order
	Once        bool `json:"once,omitempty"` // plain, and never tried again
}

// ordered tells whether records of a partition stand in the order in which they were given to the client.
func (p Producer) ordered() bool { return p.Idempotent || p.MaxInFlight == 1 }

// once tells whether a record stands at one offset at most.
func (p Producer) once() bool { return p.Idempotent || p.Once }

// mode is what a person calls it.
func (p Producer) mode() string {
	switch {
	case p.Idempotent:
		return "idempotent"
	case p.Once:
		return "once"
	}
	return "plain"
}

// Run is records at consecutive offsets.
type Run struct {
	Offset int64   `json:"o"`
	Values []Value `json:"v"`
}

// Value names a record's contents: which producer made it, and as its how-manieth, from 1.
type Value struct {
	Producer int32
	Seq      int64
}

// Values that no producer of the history made.
var (
	Foreign = Value{Producer: -1} // another program's record
	Corrupt = Value{Producer: -2} // ours, but its checksum is not
)

const (
	seqBits      = 44
	maxProducers = 1 << 16
	maxSeq       = 1 << seqBits
)

func (v Value) known() bool {
	return v.Producer >= 0 && v.Producer < maxProducers && v.Seq > 0 && v.Seq < maxSeq
}

// String writes producer/sequence.
func (v Value) String() string {
	switch v {
	case Foreign:
		return "foreign"
	case Corrupt:
		return "corrupt"
	}
	return fmt.Sprintf("%d/%d", v.Producer, v.Seq)
}

// MarshalText is String.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what String wrote.
func (v *Value) UnmarshalText(text []byte) error {
	switch string(text) {
	case "foreign":
		*v = Foreign
		return nil
	case "corrupt":
		*v = Corrupt
		return nil
	}
	a, b, ok := strings.Cut(string(text), "/")
	producer, err1 := strconv.ParseInt(a, 10, 32)
	seq, err2 := strconv.ParseInt(b, 10, 64)
	*v = Value{int32(producer), seq}
	if !ok || err1 != nil || err2 != nil || !v.known() {
		return fmt.Errorf("%q is no record: write producer/sequence, the first is 0/1", text)
	}
	return nil
}
