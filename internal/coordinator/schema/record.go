package schema

import (
	"errors"
	"fmt"
	"reflect"
)

// What Decode and Encode refuse.
var (
	// ErrUnknownType: a record that only newer brokers know. Count it and go on.
	ErrUnknownType = errors.New("a record of an unknown type")
	// ErrCorrupt: a record of a known type that cannot be read.
	ErrCorrupt = errors.New("a record that cannot be read")
	// ErrTooLong: a text that is longer than its place in the record, 32,767 bytes.
	ErrTooLong = errors.New("a text is too long for its record")
)

// Record is a *Rec of one of the types in this package.
type Record interface {
	// Tombstone tells that the record deletes what has its key.
	Tombstone() bool

	appendKey(*coder)
	appendValue(*coder)
	types() recordTypes
	version() int16 // that the value is written with
}

// Rec is a record with a key and a value; without a value it is a tombstone. What is in it must not be changed once it was applied
// or encoded.
type Rec[K, V any] struct {
	Key   K
	Value *V
}

// Tombstone implements Record.
func (r *Rec[K, V]) Tombstone() bool { return r.Value == nil }

func (r *Rec[K, V]) appendKey(c *coder)   { any(&r.Key).(message).fields(c) }
func (r *Rec[K, V]) appendValue(c *coder) { any(r.Value).(message).fields(c) }

func (r *Rec[K, V]) version() int16 {
	if v, ok := any(r.Value).(interface{ version() int16 }); ok {
		return v.version()
	}
	return 0
}

// recordTypes tell records apart.
type recordTypes struct{ key, value reflect.Type }

func (r *Rec[K, V]) types() recordTypes {
	return recordTypes{reflect.TypeFor[K](), reflect.TypeFor[V]()}
}

// message is a key or a value without the number that it begins with.
type message interface{ fields(*coder) }

// mostlyBytes is what a record's key and value take up to, if nothing in it is long.
const mostlyBytes = 192

// Encode returns the bytes of a record; the value of a tombstone is nil. The error wraps ErrTooLong.
func Encode(r Record) (key, value []byte, err error) {
	key, err = AppendKey(make([]byte, 0, mostlyBytes), r)
	if n := len(key); err == nil && !r.Tombstone() { // both in one piece of memory
		value, err = AppendValue(key[n:], r)
		key = key[:n:n]
	}
	return key, value, err
}

// AppendKey appends the bytes of a record's key to dst.
func AppendKey(dst []byte, r Record) ([]byte, error) {
	c := coder{buf: dst}
	k := kindOf(r)
	number(&c, &k.number)
	r.appendKey(&c)
	return c.buf, c.err
}

// AppendValue appends the bytes of a record's value to dst. The record must not be a tombstone.
func AppendValue(dst []byte, r Record) ([]byte, error) {
	k := kindOf(r)
	c := coder{buf: dst, version: r.version()}
	c.flexible = c.version >= k.flexible
	number(&c, &c.version)
	r.appendValue(&c)
	return c.buf, c.err
}

// Decode reads a record of the topic; a nil value makes it a tombstone. Errors wrap ErrUnknownType, which is to be skipped, or
// ErrCorrupt.
func (t *Topic) Decode(key, value []byte) (Record, error) {
	c := coder{reading: true, buf: key}
	var typ int16
	if number(&c, &typ); c.err != nil {
		return nil, fmt.Errorf("%w: a key of %d bytes in %s", ErrCorrupt, len(key), t.Name)
	}
	k := t.kinds[typ]
	if k == nil {
		return nil, fmt.Errorf("%w: %d in %s", ErrUnknownType, typ, t.Name)
	}
	r, err := k.decode(&c, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return r, nil
}

// readKey reads what follows a key's type. Nothing may follow the key: compaction would take it for another one.
func readKey(c *coder, key message) error {
	key.fields(c)
	if c.err == nil && len(c.buf) > 0 {
		c.fail(fmt.Sprintf("%d bytes after its key", len(c.buf)))
	}
	return c.err
}

// readValue reads a value of a version that is known.
func (k *kind) readValue(c *coder, value message) error {
	if number(c, &c.version); c.err == nil && (c.version < 0 || c.version > k.newest) {
		c.fail(fmt.Sprintf("its value has version %d, this build reads 0 to %d", c.version, k.newest))
	}
	c.flexible = c.version >= k.flexible
	value.fields(c)
	return c.err
}
