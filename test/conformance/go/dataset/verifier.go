package dataset

import "fmt"

// Verifier takes the records of one topic as a client reads them, partitions in any interleaving, and finds the
// first one that is missing, repeated, out of order or different. It is not safe for concurrent use.
type Verifier struct {
	topic   Topic
	records int
	opts    Options
	next    []int64
	left    int
	err     error
}

// NewVerifier expects the first n records of the topic.
func NewVerifier(t Topic, n int, o Options) *Verifier {
	return &Verifier{topic: t, records: n, opts: o, next: make([]int64, t.Partitions), left: n}
}

// Add takes the next record that the client returned.
func (v *Verifier) Add(r Record) {
	if v.err != nil {
		return
	}
	if r.Partition < 0 || r.Partition >= v.topic.Partitions {
		v.err = fmt.Errorf("partition %d does not exist", r.Partition)
		return
	}
	if want := v.next[r.Partition]; r.Offset != want {
		v.err = fmt.Errorf("partition %d: offset %d came, want %d", r.Partition, r.Offset, want)
		return
	}
	if diff := v.topic.Diff(r, v.opts); diff != "" {
		v.err = fmt.Errorf("%s", diff)
		return
	}
	v.next[r.Partition]++
	v.left--
}

// Done reports whether there is nothing more to read: everything came, or something was wrong.
func (v *Verifier) Done() bool { return v.err != nil || v.left <= 0 }

// Err is what was wrong, or nil once every record was read.
func (v *Verifier) Err() error {
	if v.err != nil || v.left == 0 {
		return v.err
	}
	for p, next := range v.next {
		if want := v.topic.Count(int32(p), v.records); next != want {
			return fmt.Errorf("partition %d ends after %d records, want %d", p, next, want)
		}
	}
	return fmt.Errorf("%d records too many", -v.left)
}
