package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"chronik/internal/model"
	"chronik/internal/replication"
)

// ErrMessage is what errors.Is reports for a frame that no version of the protocol has. The link that brought it is closed.
var ErrMessage = errors.New("malformed replication message")

// decoder reads fields one after the other. The first that is not there, or that no broker would send, makes it bad for good; what it returns
// from then on is of no use.
type decoder struct {
	b   []byte
	bad string // the field
}

func (d *decoder) fail(field string) {
	if d.bad == "" {
		d.bad, d.b = field, nil
	}
}

// err is what was wrong, if anything.
func (d *decoder) err(frame string) error {
	if d.bad == "" {
		return nil
	}
	return fmt.Errorf("%w: %s: the %s is missing or impossible", ErrMessage, frame, d.bad)
}

// more tells whether another element follows.
func (d *decoder) more() bool { return len(d.b) > 0 }

func (d *decoder) uvarint(field string) uint64 {
	v, n := binary.Uvarint(d.b)
	if !d.took(n, field) {
		return 0
	}
	return v
}

func (d *decoder) varint(field string) int64 {
	v, n := binary.Varint(d.b)
	if !d.took(n, field) {
		return 0
	}
	return v
}

// took moves on by the bytes of a field; none or fewer: it was not there.
func (d *decoder) took(n int, field string) bool {
	if n <= 0 {
		d.fail(field)
		return false
	}
	d.b = d.b[n:]
	return true
}

func (d *decoder) byte(field string) byte {
	if len(d.b) == 0 {
		d.fail(field)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// between reads a signed number and holds it against its range.
func (d *decoder) between(field string, least, most int64) int64 {
	v := d.varint(field)
	if v < least || v > most {
		d.fail(field)
	}
	return v
}

func (d *decoder) subscription() replication.Subscription {
	n := d.uvarint("subscription")
	if n == 0 {
		d.fail("subscription")
	}
	return replication.Subscription(n)
}

func (d *decoder) leaderEpoch(field string) model.LeaderEpoch {
	return model.LeaderEpoch(d.between(field, int64(model.NoEpoch), math.MaxInt32))
}

func (d *decoder) brokerEpoch() model.BrokerEpoch {
	return model.BrokerEpoch(d.between("broker epoch", int64(model.NoBrokerEpoch), math.MaxInt64))
}

func (d *decoder) offset(field string) model.Offset {
	return model.Offset(d.between(field, int64(model.NoOffset), math.MaxInt64))
}

// offsetFrom reads an offset as its distance from another one. A distance that leads out of the range of offsets, around either end, is bad.
func (d *decoder) offsetFrom(field string, base model.Offset) model.Offset {
	delta := d.varint(field)
	v := int64(base) + delta
	if v < int64(model.NoOffset) || delta > 0 && v < int64(base) {
		d.fail(field)
	}
	return model.Offset(v)
}

func (d *decoder) size(field string) int {
	v := d.uvarint(field)
	if v > math.MaxInt32 {
		d.fail(field)
		return 0
	}
	return int(v)
}

func (d *decoder) own() replication.Own {
	var o replication.Own
	o.End = d.offset("log end")
	o.Start = d.offsetFrom("log start", o.End)
	o.Synced = d.offsetFrom("synced offset", o.End)
	return o
}

func appendOffset(b []byte, o model.Offset) []byte { return binary.AppendVarint(b, int64(o)) }

func appendOffsetFrom(b []byte, o, base model.Offset) []byte {
	return binary.AppendVarint(b, int64(o-base))
}

func appendEpoch(b []byte, e model.LeaderEpoch) []byte { return binary.AppendVarint(b, int64(e)) }

func appendOwn(b []byte, o replication.Own) []byte {
	b = appendOffset(b, o.End)
	b = appendOffsetFrom(b, o.Start, o.End)
	return appendOffsetFrom(b, o.Synced, o.End)
}
