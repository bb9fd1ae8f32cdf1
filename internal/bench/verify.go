package bench

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// Verification is the verdict on one run.
type Verification struct {
	OK       bool     `json:"ok"`
	Depth    string   `json:"depth"`   // sample or full
	Counted  int64    `json:"counted"` // acknowledged, or sent with acks=0
	Growth   int64    `json:"growth"`  // of the end offsets, without barrier records
	ReadBack int64    `json:"read_back"`
	Foreign  int64    `json:"foreign"`        // consumed records that no run of chronik-bench made
	Note     string   `json:"note,omitempty"` // what was verified, where it is not end offsets
	Problems []string `json:"problems,omitempty"`
}

// String is the line that a person reads.
func (v *Verification) String() string {
	if v.Note != "" {
		return map[bool]string{true: "OK: ", false: "FAILED: "}[v.OK] + v.Note + strings.Join(append([]string{""}, v.Problems...), "\n  - ")
	}
	if v.OK {
		return fmt.Sprintf("OK: end offsets grew by %d = %d counted; %d records read back and compared (%s)", v.Growth, v.Counted, v.ReadBack, v.Depth)
	}
	return fmt.Sprintf("FAILED: end offsets grew by %d, %d counted, %d records read back (%s)\n  - %s",
		v.Growth, v.Counted, v.ReadBack, v.Depth, strings.Join(v.Problems, "\n  - "))
}

// maxProblems bounds a verdict: a broken log is broken in thousands of places.
const maxProblems = 20

func (v *Verification) problem(format string, args ...any) {
	v.OK = false
	switch {
	case len(v.Problems) < maxProblems:
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	case len(v.Problems) == maxProblems:
		v.Problems = append(v.Problems, "and more")
	}
}

// Stored describes what is to be verified.
type Stored struct {
	Ledger        *Ledger
	Before, After []int64 // end offsets of every partition
	Barriers      int64   // barrier records per partition, acks=0 only
	Generator     *Generator
	MessageSize   int
	Full          bool
	Samples       int
}

// Verify judges a run by its ledger, the offsets, and what src gives back (V1, V2, V3). The error is
// only for what kept it from judging; everything that is wrong with the data is in the verdict.
func Verify(ctx context.Context, s Stored, src Source) (*Verification, error) {
	v := &Verification{OK: true, Depth: VerifySample, Counted: s.Ledger.Acked}
	if s.Full {
		v.Depth = VerifyFull
	}
	s.checkOffsets(v)
	if n := s.Ledger.Failed; n > 0 {
		v.problem("%d records failed, the first with: %v", n, s.Ledger.FirstError)
	}
	if s.Full {
		return v, s.checkAll(ctx, v, src)
	}
	return v, s.checkSamples(ctx, v, src)
}

// checkOffsets is V1 and V2.
func (s *Stored) checkOffsets(v *Verification) {
	for p, l := range s.Ledger.Partitions {
		growth := s.After[p] - s.Before[p] - s.Barriers
		v.Growth += growth
		switch {
		case growth < l.Acked:
			v.problem("partition %d: %d records lost: %d acknowledged, end offset grew by %d (%d to %d)", p, l.Acked-growth, l.Acked, growth, s.Before[p], s.After[p])
			continue
		case growth > l.Acked+l.Failed:
			v.problem("partition %d: %d records too many: %d acknowledged, end offset grew by %d (%d to %d); is anybody else writing to the topic?", p, growth-l.Acked, l.Acked, growth, s.Before[p], s.After[p])
			continue
		}
		if !s.Ledger.Offsets || l.Acked == 0 {
			continue
		}
		if l.Min < s.Before[p] || l.Max >= s.After[p] {
			v.problem("partition %d: acknowledged offsets %d to %d lie outside %d to %d", p, l.Min, l.Max, s.Before[p], s.After[p]-1)
			continue
		}
		if want := sumRange(s.Before[p], s.After[p]); l.Failed == 0 && l.OffsetSum != want {
			v.problem("partition %d: acknowledged offsets are not %d to %d, each once: some were answered twice", p, s.Before[p], s.After[p]-1)
		}
	}
}

// sumRange is from + (from+1) + ... + (to-1), modulo 2^64.
func sumRange(from, to int64) uint64 {
	n, both := uint64(to-from), uint64(from)+uint64(to-1)
	if n%2 == 0 {
		return n / 2 * both
	}
	return n * (both / 2) // n odd: from and to-1 have the same parity
}

// checkSamples is V3 for the sampled acknowledgements, or for offsets spread over the growth when
// acknowledgements carry none.
func (s *Stored) checkSamples(ctx context.Context, v *Verification, src Source) error {
	samples := s.Ledger.Samples
	if !s.Ledger.Offsets {
		samples = s.spread()
	}
	for _, want := range samples {
		if want.Offset >= s.After[want.Partition] {
			continue // lost, and reported by checkOffsets
		}
		records, err := src.Read(ctx, want.Partition, want.Offset, 1)
		if err != nil {
			v.problem("%v", err)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		for i, r := range records {
			if r.Offset != want.Offset+int64(i) {
				v.problem("partition %d: offset %d follows %d", want.Partition, r.Offset, want.Offset+int64(i)-1)
				break
			}
			if s.Barriers > 0 && bytes.Equal(r.Value, barrierValue) {
				continue
			}
			v.ReadBack++
			p, err := s.Generator.Check(r.Key, r.Value, s.MessageSize)
			if err != nil {
				v.problem("partition %d, offset %d: %v", want.Partition, r.Offset, err)
				break
			}
			if i == 0 && s.Ledger.Offsets && p.Sequence != want.Sequence {
				v.problem("partition %d, offset %d holds record %d of client %d; record %d of client %d was acknowledged there",
					want.Partition, r.Offset, p.Number(), p.Client(), Payload{Sequence: want.Sequence}.Number(), Payload{Sequence: want.Sequence}.Client())
			}
		}
	}
	if v.ReadBack == 0 && v.Counted > 0 {
		v.problem("nothing could be read back")
	}
	return nil
}

// spread picks offsets evenly over what each partition grew by.
func (s *Stored) spread() (samples []Sample) {
	each := max(1, s.Samples/len(s.Before))
	for p := range s.Before {
		growth := s.After[p] - s.Before[p]
		for i := range min(int64(each), growth) {
			samples = append(samples, Sample{Partition: int32(p), Offset: s.Before[p] + i*growth/int64(each)})
		}
	}
	return thin(samples, max(s.Samples, len(s.Before)))
}

const fullReadBytes = 8 << 20

// checkAll is V3 for every record: each offset in its turn, each payload intact, none twice. Together
// with V1 this proves that none is missing.
func (s *Stored) checkAll(ctx context.Context, v *Verification, src Source) error {
	seen := make(map[int]bitmap)
	for p := range s.Before {
		next := s.Before[p]
		for next < s.After[p] {
			records, err := src.Read(ctx, int32(p), next, fullReadBytes)
			if err != nil {
				v.problem("%v", err)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				break
			}
			for _, r := range records {
				if r.Offset >= s.After[p] {
					break
				}
				if r.Offset != next {
					v.problem("partition %d: offset %d follows %d", p, r.Offset, next-1)
				}
				next = r.Offset + 1
				s.checkOne(v, p, r, seen)
			}
		}
	}
	if !v.OK {
		return nil
	}
	if v.ReadBack != v.Growth {
		v.problem("%d records read back, end offsets grew by %d", v.ReadBack, v.Growth)
	}
	return nil
}

func (s *Stored) checkOne(v *Verification, partition int, r Record, seen map[int]bitmap) {
	if s.Barriers > 0 && bytes.Equal(r.Value, barrierValue) {
		return
	}
	v.ReadBack++
	p, err := s.Generator.Check(r.Key, r.Value, s.MessageSize)
	if err != nil {
		v.problem("partition %d, offset %d: %v", partition, r.Offset, err)
		return
	}
	b := seen[p.Client()]
	if b.set(p.Number()) {
		v.problem("partition %d, offset %d: record %d of client %d is stored twice", partition, r.Offset, p.Number(), p.Client())
	}
	seen[p.Client()] = b
}

// bitmap is a set of small numbers.
type bitmap []uint64

// set adds a number and tells whether it was there.
func (b *bitmap) set(n int64) bool {
	for int(n/64) >= len(*b) {
		*b = append(*b, make([]uint64, len(*b)+1024)...)
	}
	word, bit := &(*b)[n/64], uint64(1)<<(n%64)
	was := *word&bit != 0
	*word |= bit
	return was
}
