package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"time"
)

// A payload is a header, then filler. All integers are big-endian.
//
//	offset  size
//	     0     4  magic "CHBK"
//	     4     4  CRC-32C of the rest of the header
//	     8     8  seed of the run
//	    16     8  sequence: client << sequenceBits | number of the record within the client
//	    24     8  time at which it was due, nanoseconds since 1970
//	    32     4  variant of the filler
//	    36     4  CRC-32C of the filler
//	    40     -  filler, a function of seed and variant
//
// The filler stays in a buffer from one record to the next: the client shares the machine with the broker,
// and what it spends on making payloads is missing from what is measured.
const (
	headerSize     = 40
	magic          = "CHBK"
	sequenceBits   = 44
	maxConnections = 1 << (63 - sequenceBits - 3)
	fillerSize     = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Payload is what a value says about itself.
type Payload struct {
	Seed, Sequence uint64
	Due            time.Time
}

// Client is the number of the client that made the record.
func (p Payload) Client() int { return int(p.Sequence >> sequenceBits) }

// Number counts the records of that client, from 0.
func (p Payload) Number() int64 { return int64(p.Sequence & (1<<sequenceBits - 1)) }

// Generator makes the payloads and keys of one run. The same seed makes the same ones, so that they
// need not be kept to be compared. It is immutable: any number of goroutines may share one.
type Generator struct {
	seed   uint64
	filler []byte
	keys   int
}

// NewGenerator returns the generator of a seed; keys is the number of distinct keys, 0 for none.
// The filler is random letters: about as compressible as text made of base64.
func NewGenerator(seed uint64, keys, maxSize int) *Generator {
	rnd := rand.New(rand.NewPCG(seed, 0x43_48_42_4b))
	filler := make([]byte, fillerSize+maxSize)
	for i := range filler {
		filler[i] = 'A' + byte(rnd.IntN(26))
	}
	return &Generator{seed: seed, filler: filler, keys: keys}
}

// Sequence numbers a client's n-th record.
func Sequence(client int, n int64) uint64 { return uint64(client)<<sequenceBits | uint64(n) }

// NewPayload returns a buffer of size bytes, at least MinMessageSize, with the filler of a variant. It
// becomes a payload with each Stamp.
func (g *Generator) NewPayload(size int, variant uint32) []byte {
	buf := make([]byte, size)
	copy(buf, magic)
	copy(buf[headerSize:], g.fillerOf(variant))
	binary.BigEndian.PutUint64(buf[8:], g.seed)
	binary.BigEndian.PutUint32(buf[32:], variant)
	binary.BigEndian.PutUint32(buf[36:], crc32.Checksum(buf[headerSize:], castagnoli))
	return buf
}

// Stamp makes a buffer of NewPayload the payload of a sequence.
func (g *Generator) Stamp(buf []byte, sequence uint64, due time.Time) {
	binary.BigEndian.PutUint64(buf[16:], sequence)
	binary.BigEndian.PutUint64(buf[24:], uint64(due.UnixNano()))
	binary.BigEndian.PutUint32(buf[4:], crc32.Checksum(buf[8:headerSize], castagnoli))
}

func (g *Generator) fillerOf(variant uint32) []byte {
	return g.filler[mix(uint64(variant))%fillerSize:]
}

// Key appends the key of a sequence to dst; nil when the run has no keys.
func (g *Generator) Key(dst []byte, sequence uint64) []byte {
	if g.keys == 0 {
		return nil
	}
	return strconv.AppendUint(append(dst, "key-"...), mix(sequence^g.seed)%uint64(g.keys), 10)
}

// IsOurs tells whether a value looks like a payload of any run.
func IsOurs(value []byte) bool { return len(value) >= headerSize && string(value[:4]) == magic }

// Parse checks a value's magic and checksums, and returns what it says.
func Parse(value []byte) (Payload, error) {
	if !IsOurs(value) {
		return Payload{}, fmt.Errorf("not a payload of chronik-bench (%d bytes)", len(value))
	}
	if want, got := binary.BigEndian.Uint32(value[4:]), crc32.Checksum(value[8:headerSize], castagnoli); want != got {
		return Payload{}, fmt.Errorf("checksum of the payload's header is %08x, it says %08x", got, want)
	}
	if want, got := binary.BigEndian.Uint32(value[36:]), crc32.Checksum(value[headerSize:], castagnoli); want != got {
		return Payload{}, fmt.Errorf("checksum of the payload's filler is %08x, its header says %08x", got, want)
	}
	return Payload{
		Seed:     binary.BigEndian.Uint64(value[8:]),
		Sequence: binary.BigEndian.Uint64(value[16:]),
		Due:      time.Unix(0, int64(binary.BigEndian.Uint64(value[24:]))),
	}, nil
}

// Check compares a record that was read with the one that was made, byte for byte (V3), and returns
// what it says. size is the value's expected length.
func (g *Generator) Check(key, value []byte, size int) (Payload, error) {
	p, err := Parse(value)
	switch {
	case err != nil:
		return p, err
	case p.Seed != g.seed:
		return p, fmt.Errorf("payload is of another run: seed %d, want %d", p.Seed, g.seed)
	case len(value) != size:
		return p, fmt.Errorf("value has %d bytes, want %d", len(value), size)
	}
	variant := binary.BigEndian.Uint32(value[32:])
	if !bytes.Equal(value[headerSize:], g.fillerOf(variant)[:size-headerSize]) {
		return p, fmt.Errorf("filler of record %d of client %d differs", p.Number(), p.Client())
	}
	if want := g.Key(nil, p.Sequence); !bytes.Equal(key, want) {
		return p, fmt.Errorf("key is %q, want %q", key, want)
	}
	return p, nil
}

// mix spreads neighbouring numbers over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
