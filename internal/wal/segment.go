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
}

const (
	segmentPrefix = "segment_"
	segmentSuffix = ".wal"
	numberDigits  = 3
)

// segmentName is the file name of a segment: at least three digits.
func segmentName(number int64) string {
	return fmt.Sprintf("%s%0*d%s", segmentPrefix, numberDigits, number, segmentSuffix)
}

// parseSegmentName is the inverse of segmentName; false for any other name.
func parseSegmentName(name string) (int64, bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0 && segmentName(n) == name
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
