package bench

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// Counter is a count that one goroutine raises while others look. The padding keeps two of them off
// one cache line.
type Counter struct {
	n atomic.Int64
	_ [56]byte
}

// Add raises the count.
func (c *Counter) Add(n int64) { c.n.Add(n) }

// Load returns the count.
func (c *Counter) Load() int64 { return c.n.Load() }

// Sample is one acknowledged record that will be read back.
type Sample struct {
	Partition int32
	Offset    int64
	Sequence  uint64
}

// PartitionLedger is what clients believe about one partition.
type PartitionLedger struct {
	Acked     int64  // records acknowledged, or sent with acks=0
	Failed    int64  // records answered with an error: they may or may not be stored
	Min, Max  int64  // of the acknowledged offsets; meaningless while Acked is 0
	OffsetSum uint64 // of the acknowledged offsets, modulo 2^64
}

func (p *PartitionLedger) ack(offset int64) {
	if p.Acked == 0 || offset < p.Min {
		p.Min = offset
	}
	if p.Acked == 0 || offset > p.Max {
		p.Max = offset
	}
	p.Acked++
	p.OffsetSum += uint64(offset)
}

func (p *PartitionLedger) merge(o PartitionLedger) {
	if o.Acked > 0 {
		if p.Acked == 0 {
			p.Min, p.Max = o.Min, o.Max
		}
		p.Min, p.Max = min(p.Min, o.Min), max(p.Max, o.Max)
	}
	p.Acked += o.Acked
	p.Failed += o.Failed
	p.OffsetSum += o.OffsetSum
}

// Account is one client's ledger. Its methods must not be called at the same time, except that Acked
// and Failed may be loaded at any time.
type Account struct {
	Acked, Failed Counter
	Bytes         int64 // of keys and values acknowledged
	FirstError    error

	offsets    bool // acknowledgements carry offsets (acks is not 0)
	partitions []PartitionLedger
	samples    []Sample
	stride     int64 // every stride-th acknowledged record is a sample
	limit      int
}

// NewAccount returns an empty account over partitions 0 to partitions-1 that keeps at most limit samples,
// spread evenly over its life. offsets is false with acks=0.
func NewAccount(partitions, limit int, offsets bool) *Account {
	return &Account{partitions: make([]PartitionLedger, partitions), stride: 1, limit: max(limit, 1), offsets: offsets}
}

// Ack books an acknowledged record of size bytes.
func (a *Account) Ack(partition int32, offset int64, sequence uint64, size int) {
	p := &a.partitions[partition]
	a.Bytes += int64(size)
	n := a.Acked.Load()
	a.Acked.Add(1)
	if !a.offsets {
		p.Acked++
		return
	}
	p.ack(offset)
	if n%a.stride != 0 {
		return
	}
	if len(a.samples) == 2*a.limit { // thin out: every second one goes, and half as many come
		for i := range a.limit {
			a.samples[i] = a.samples[2*i]
		}
		a.samples, a.stride = a.samples[:a.limit], 2*a.stride
		if n%a.stride != 0 {
			return
		}
	}
	a.samples = append(a.samples, Sample{partition, offset, sequence})
}

// Fail books a record that was answered with an error; partition is -1 if it never had one.
func (a *Account) Fail(partition int32, err error) {
	a.Failed.Add(1)
	if a.FirstError == nil {
		a.FirstError = err
	}
	if partition >= 0 && int(partition) < len(a.partitions) {
		a.partitions[partition].Failed++
	}
}

// Ledger is the sum of all accounts.
type Ledger struct {
	Partitions    []PartitionLedger
	Samples       []Sample // ordered by partition, then offset
	Acked, Failed int64
	Bytes         int64
	FirstError    error
	Offsets       bool // false with acks=0: Min, Max, OffsetSum and Samples mean nothing
}

// Sum merges accounts once their clients are done. It keeps at most limit samples.
func Sum(limit int, accounts ...*Account) *Ledger {
	l := &Ledger{Offsets: true}
	for _, a := range accounts {
		if l.Partitions == nil {
			l.Partitions = make([]PartitionLedger, len(a.partitions))
		}
		for i, p := range a.partitions {
			l.Partitions[i].merge(p)
		}
		l.Samples = append(l.Samples, a.samples...)
		l.Acked += a.Acked.Load()
		l.Failed += a.Failed.Load()
		l.Bytes += a.Bytes
		l.FirstError = cmp.Or(l.FirstError, a.FirstError)
		l.Offsets = l.Offsets && a.offsets
	}
	l.Samples = thin(l.Samples, limit)
	slices.SortFunc(l.Samples, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return l
}

// thin keeps limit samples, evenly spread, the last one always among them.
func thin(s []Sample, limit int) []Sample {
	if len(s) <= limit {
		return s
	}
	kept := make([]Sample, 0, limit)
	for i := range limit {
		kept = append(kept, s[(i+1)*len(s)/limit-1])
	}
	return kept
}
