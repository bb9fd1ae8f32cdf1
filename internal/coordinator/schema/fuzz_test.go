package schema

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzDecode: any bytes are read, unknown or corrupt; nothing panics, memory is bounded by the input, and what was read says the same after it was
// written.
func FuzzDecode(f *testing.F) {
	topics := []*Topic{Groups, Transactions, Shares}
	for _, name := range []string{"testdata/classes.txt", "testdata/broker.txt"} {
		for _, g := range readGolden(f, name) {
			for i, topic := range topics {
				if topic == g.topic {
					f.Add(uint8(i), g.key, g.value, g.value == nil)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, key, value []byte, tombstone bool) {
		topic := topics[int(n)%len(topics)]
		if tombstone {
			value = nil
		} else if value == nil {
			value = []byte{}
		}
		r, err := topic.Decode(key, value)
		if err != nil {
			if !errors.Is(err, ErrUnknownType) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("neither unknown nor corrupt: %v", err)
			}
			return
		}
		k, v, err := Encode(r)
		if errors.Is(err, ErrTooLong) {
			return // read in a version that has room for it
		}
		if err != nil || !bytes.Equal(k, key) || (v == nil) != tombstone {
			t.Fatalf("%+v is written as %x %x, %v", r, k, v, err)
		}
		again, err := topic.Decode(k, v)
		if err != nil {
			t.Fatalf("%x %x cannot be read: %v", k, v, err)
		}
		if d := cmp.Diff(r, again, cmpopts.EquateEmpty()); d != "" && !tombstone {
			t.Errorf("it says something else when it was written: %s", d)
		}
	})
}
