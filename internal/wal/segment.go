package wal

import (
	"fmt"
	"strconv"
	"strings"

	"chronik/internal/model"
	"chronik/internal/record"
)

// stats are the timestamps of a segment, in milliseconds since 1970. record.NoTimestamp stands for none.
type stats struct {
	firstTs int64        // greatest of the first batch: what segment.ms counts from
	maxTs   int64        // greatest of the segment
	maxTsAt model.Offset // base offset of the first batch that has it
}

func noStats() stats {
	return stats{firstTs: record.NoTimestamp, maxTs: record.NoTimestamp, maxTsAt: model.NoOffset}
}

// timeOf is the greatest timestamp of a batch's records, record.NoTimestamp if compaction has left none: the header says then which
// it had.
func timeOf(b record.Batch) int64 {
	if b.RecordCount() == 0 {
		return record.NoTimestamp
	}
	return b.MaxTimestamp()
}

// add takes one more batch into account.
func (s *stats) add(base model.Offset, maxTs int64) {
	if s.firstTs == record.NoTimestamp {
		s.firstTs = maxTs
	}
	if maxTs > s.maxTs {
		s.maxTs, s.maxTsAt = maxTs, base
	}
}

// segment is what memory knows of one segment file. It is guarded by the log's mutex. Of the active
// segment, end and size are those of the visible part; of a sealed one, of all of it.
type segment struct {
	number int64
	base   model.Offset
	end    model.Offset // one past the last offset
	size   int64        // where the data ends in the file, header included
	stats  stats
	gaps   bool   // offsets may be missing between its batches: they come from a compacted log
	broken error  // set if the file as a whole cannot be read: header or length damaged
	clean  ranges // byte ranges whose CRCs are known to hold since open
	cleaned
}

// file identifies the segment's file.
func (s *segment) file() int64 { return fileNumber(s.number, s.gen) }

// fileNumber identifies a file of a log: by the segment's number, and by how often compaction has written it. Its bytes are
// the same for ever, but for a cut.
func fileNumber(number int64, gen uint32) int64 { return number | int64(gen)<<genShift }

// genShift leaves as many bits to a segment's number as an index entry has.
const genShift = 32

const (
	segmentPrefix = "segment_"
	segmentSuffix = ".wal"
	numberDigits  = 3
)

// segmentName is the name of a segment's file: at least three digits, and if compaction has written it how often.
func segmentName(file int64) string {
	number, gen := file&(1<<genShift-1), file>>genShift
	if gen > 0 {
		return fmt.Sprintf("%s%0*d_%d%s", segmentPrefix, numberDigits, number, gen, segmentSuffix)
	}
	return fmt.Sprintf("%s%0*d%s", segmentPrefix, numberDigits, number, segmentSuffix)
}

// parseSegmentName is the inverse of segmentName; false for any other name.
func parseSegmentName(name string) (file int64, ok bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok {
		return 0, false
	}
	digits, again, cleaned := strings.Cut(digits, "_")
	number, err := strconv.ParseUint(digits, 10, genShift)
	if err != nil {
		return 0, false
	}
	gen := uint64(0)
	if cleaned {
		if gen, err = strconv.ParseUint(again, 10, 31); err != nil {
			return 0, false
		}
	}
	file = fileNumber(int64(number), uint32(gen))
	return file, segmentName(file) == name
}

// ranges is a short sorted list of disjoint byte ranges.
type ranges struct{ list []span }

// span is a range of a segment's bytes, [from, to), and the offset that follows the batches in it.
type span struct {
	from, to int64
	next     model.Offset
}

// maxSpans bounds the list: past it the smallest range is forgotten, and checked again when next read.
const maxSpans = 16

// covering returns the range that pos lies in.
func (r *ranges) covering(pos int64) (span, bool) {
	for _, s := range r.list {
		if pos >= s.from && pos < s.to {
			return s, true
		}
	}
	return span{}, false
}

// add inserts a range and merges it with those that it touches.
func (r *ranges) add(n span) {
	if n.from >= n.to {
		return
	}
	keep := r.list[:0]
	at := 0
	for _, s := range r.list {
		switch {
		case s.to < n.from:
			keep = append(keep, s)
			at = len(keep)
		case s.from > n.to:
			keep = append(keep, s)
		default:
			if s.to > n.to {
				n.to, n.next = s.to, s.next
			}
			n.from = min(n.from, s.from)
		}
	}
	keep = append(keep, span{})
	copy(keep[at+1:], keep[at:])
	keep[at] = n
	if len(keep) > maxSpans {
		small := 0
		for i, s := range keep {
			if s.to-s.from < keep[small].to-keep[small].from {
				small = i
			}
		}
		keep = append(keep[:small], keep[small+1:]...)
	}
	r.list = keep
}

// cut forgets everything from pos on; next is the offset that pos stands at.
func (r *ranges) cut(pos int64, next model.Offset) {
	keep := r.list[:0]
	for _, s := range r.list {
		if s.from >= pos {
			break
		}
		if s.to > pos {
			s.to, s.next = pos, next
		}
		keep = append(keep, s)
	}
	r.list = keep
}
