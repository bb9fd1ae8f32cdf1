package record

import "fmt"

// RecordError says which record of a batch is bad: what a Produce response carries as a record error (KIP-467).
type RecordError struct {
	Index int // position in the batch, from 0
	Err   error
}

// Error names the record and what is wrong with it.
func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Index, e.Err) }

// Unwrap returns what is wrong with the record.
func (e *RecordError) Unwrap() error { return e.Err }

// ValidateRecords walks the uncompressed records of a producer's batch: all count of them parse, their offset
// deltas are 0, 1, 2 ... and nothing follows. visit, if not nil, sees every record in order (for bounds on
// timestamps, or null keys); its error stops the walk. Errors are a
// *RecordError; what the walk itself finds wraps ErrRecord.
func ValidateRecords(data []byte, count int32, visit func(index int, r Record) error) error {
	it := NewIterator(data, count)
	var r Record
	for it.Next(&r) {
		i := it.Index()
		if int(r.OffsetDelta) != i {
			return &RecordError{Index: i, Err: fmt.Errorf("%w: its offset delta is %d, want %d", ErrRecord, r.OffsetDelta, i)}
		}
		if visit == nil {
			continue
		}
		if err := visit(i, r); err != nil {
			return &RecordError{Index: i, Err: err}
		}
	}
	if err := it.Err(); err != nil {
		return &RecordError{Index: it.Index(), Err: err}
	}
	return nil
}
