// Package dataset computes the records that every conformance driver produces and verifies: see DATASET.md.
//
// A record is a pure function of (topic name, number), so that a driver in any language can verify what any
// other one wrote. The same generator exists in Java, Python and JavaScript; Fingerprint keeps them equal.
package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	baseTimestampMs = 1_700_000_000_000
	stepMs          = 1_000
	jumpMs          = 50_000
)

// Header is one record header; a nil Value is a null, an empty one is empty.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record as it must come back. Nil Key and Value are null.
type Record struct {
	Partition   int32
	Offset      int64
	TimestampMs int64
	Key, Value  []byte
	Headers     []Header
}

// Topic is a data set: the topic's name says all about it.
type Topic struct {
	Name       string
	Partitions int32
	profile    string
}

// Name builds the name of the topic that client writes with codec under profile.
func Name(client, codec, profile string) string {
	return "conf-" + client + "-" + codec + "-" + profile
}

// Parse understands a topic name made by Name.
func Parse(name string) (Topic, error) {
	i := strings.LastIndexByte(name, '-')
	if !strings.HasPrefix(name, "conf-") || i+2 > len(name) || name[i+1] < '1' || name[i+1] > '9' {
		return Topic{}, fmt.Errorf("%q is not conf-CLIENT-CODEC-PROFILE", name)
	}
	return Topic{Name: name, Partitions: int32(name[i+1] - '0'), profile: name[i+2:]}, nil
}

// MustParse is Parse for names that the program itself made.
func MustParse(name string) Topic {
	t, err := Parse(name)
	if err != nil {
		panic(err)
	}
	return t
}

// Has reports whether the profile has the ability.
func (t Topic) Has(ability byte) bool { return strings.IndexByte(t.profile, ability) >= 0 }

// Count is how many of the first n records belong to the partition.
func (t Topic) Count(partition int32, n int) int64 {
	return (int64(n) - int64(partition) + int64(t.Partitions) - 1) / int64(t.Partitions)
}

// At is the record at the partition's offset.
func (t Topic) At(partition int32, offset int64) Record {
	return t.Record(int(offset)*int(t.Partitions) + int(partition))
}

// TimestampMs is record i's timestamp.
func TimestampMs(i int) int64 {
	ts := int64(baseTimestampMs + stepMs*i)
	if i%97 == 13 {
		ts += jumpMs
	}
	return ts
}

// Record computes record i.
func (t Topic) Record(i int) Record {
	h := sha256.Sum256(fmt.Appendf(nil, "%s:%d", t.Name, i))
	r := Record{Partition: int32(i) % t.Partitions, Offset: int64(i) / int64(t.Partitions), TimestampMs: TimestampMs(i)}
	switch {
	case i%7 == 3 && t.Has('k'):
	case i%7 == 5 && t.Has('e'):
		r.Key = []byte{}
	default:
		r.Key = t.text(bytes.Clone(h[:1+h[0]%16]))
	}
	switch {
	case i%11 == 4 && t.Has('v'):
	case i%11 == 6 && t.Has('e'):
		r.Value = []byte{}
	default:
		v := make([]byte, 1+int(binary.BigEndian.Uint16(h[1:3]))%500)
		for j := range v {
			v[j] = h[j%32] ^ byte(j/32)
		}
		r.Value = t.text(v)
	}
	if t.Has('h') {
		for n := range int(h[3] % 4) {
			r.Headers = append(r.Headers, t.header(h, n))
		}
	}
	return r
}

func (t Topic) header(h [32]byte, n int) Header {
	hd := Header{Key: fmt.Sprintf("h%d", n)}
	if t.Has('d') && h[4]%5 == 0 {
		hd.Key = "h0"
	}
	switch kind := h[5+n] % 5; {
	case kind == 0 && t.Has('n'):
	case kind < 2 && t.Has('a'):
		hd.Value = []byte("00")
	case kind < 2:
		hd.Value = []byte{}
	default:
		hd.Value = t.text(bytes.Clone(h[8 : 8+4*(n+1)]))
	}
	return hd
}

func (t Topic) text(b []byte) []byte {
	if t.Has('a') {
		return []byte(hex.EncodeToString(b))
	}
	return b
}

// FirstAtOrAfter is the first offset of the partition, among the first n records, whose timestamp is at least ms; -1 if none.
func (t Topic) FirstAtOrAfter(partition int32, ms int64, n int) int64 {
	for i := int(partition); i < n; i += int(t.Partitions) {
		if TimestampMs(i) >= ms {
			return int64(i) / int64(t.Partitions)
		}
	}
	return -1
}

// MaxTimestamp is the first offset that holds the partition's largest timestamp, and that timestamp.
func (t Topic) MaxTimestamp(partition int32, n int) (offset, ms int64) {
	offset, ms = -1, -1
	for i := int(partition); i < n; i += int(t.Partitions) {
		if ts := TimestampMs(i); ts > ms {
			offset, ms = int64(i)/int64(t.Partitions), ts
		}
	}
	return offset, ms
}

// Options says what a reader cannot see.
type Options struct {
	NullIsEmpty bool // the client shows null and empty alike
	NoHeaders   bool // the client shows no headers
}

// Diff says how got differs from the record that the topic must hold at got's place, or "".
func (t Topic) Diff(got Record, o Options) string {
	want := t.At(got.Partition, got.Offset)
	at := fmt.Sprintf("partition %d offset %d: ", got.Partition, got.Offset)
	if t.Has('t') && got.TimestampMs != want.TimestampMs {
		return fmt.Sprintf("%stimestamp %d, want %d", at, got.TimestampMs, want.TimestampMs)
	}
	if !same(got.Key, want.Key, o) {
		return fmt.Sprintf("%skey %s, want %s", at, show(got.Key), show(want.Key))
	}
	if !same(got.Value, want.Value, o) {
		return fmt.Sprintf("%svalue %s, want %s", at, show(got.Value), show(want.Value))
	}
	if o.NoHeaders {
		return ""
	}
	if len(got.Headers) != len(want.Headers) {
		return fmt.Sprintf("%s%d headers, want %d", at, len(got.Headers), len(want.Headers))
	}
	for n, w := range want.Headers {
		if g := got.Headers[n]; g.Key != w.Key || !same(g.Value, w.Value, o) {
			return fmt.Sprintf("%sheader %d is %q=%s, want %q=%s", at, n, g.Key, show(g.Value), w.Key, show(w.Value))
		}
	}
	return ""
}

func same(a, b []byte, o Options) bool {
	return bytes.Equal(a, b) && (o.NullIsEmpty || (a == nil) == (b == nil))
}

func show(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 24:
		return fmt.Sprintf("%x... (%d bytes)", b[:24], len(b))
	}
	return fmt.Sprintf("%x (%d bytes)", b, len(b))
}

// Fingerprint is the SHA-256 in hex over the first 1,000 records of the topic, each as one line of
// "partition offset timestamp key value header=value,...\n" with bytes in hex and null as "-".
func (t Topic) Fingerprint() string {
	sum := sha256.New()
	for i := range 1000 {
		r := t.Record(i)
		var hs []string
		for _, h := range r.Headers {
			hs = append(hs, h.Key+"="+hexOrDash(h.Value))
		}
		fmt.Fprintf(sum, "%d %d %d %s %s %s\n", r.Partition, r.Offset, r.TimestampMs,
			hexOrDash(r.Key), hexOrDash(r.Value), strings.Join(hs, ","))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func hexOrDash(b []byte) string {
	if b == nil {
		return "-"
	}
	return hex.EncodeToString(b)
}

// Fingerprints are the check values that the generators of all languages share.
var Fingerprints = map[string]string{
	"conf-x-none-3kevhdnt": "58bbc68502ee1ca8c64b10498994dd362f08873c6e3cff286c1e7b33ece2a7c5",
	"conf-x-none-1kvha":    "b578a2d036377f8c20683917180f9d2f9d9de8703220a8c02305f886f804a5b1",
}
