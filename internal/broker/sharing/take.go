package sharing

import (
	"errors"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replica"
)

// firstChunk is how much of the log is read first; a member mostly wants fewer records than these. If it wants more, twice as much is read next.
const firstChunk = 128 << 10

// want is what a member wants of a partition.
type want struct {
	member      string
	recordLimit bool
	maxRecords  int
	batchSize   int
	minOne      bool   // a first batch is read whatever its size
	into        []byte // empty; its capacity is the room for records
}

// taken is what it gets.
type taken struct {
	records []byte
	ranges  []sharepartition.Range
	count   int
	ready   bool // records could be given, if there were any
	needs   int  // the bytes of a first batch for which there is no room
	err     error
}

// take reads the log and has the member acquire records, until it has enough.
func (l *led) take(now time.Time, w want) (out taken) {
	if l.p == nil {
		return out
	}
	c := l.s.o.Config(l.key.Group)
	l.p.Config = c.Config
	out.records = w.into
	for chunk := firstChunk; out.count < w.maxRecords; chunk *= 2 {
		from, ok := l.p.NextFetch()
		if l.full = !ok; l.full {
			break
		}
		out.ready = true
		at := len(out.records)
		res, err := l.read(from, min(chunk, cap(out.records)-at), w.minOne && at == 0, c.Committed)
		if err != nil || res.Records == nil {
			out.err = err
			break
		}
		if size := res.Records.Len(); size > cap(out.records)-at {
			res.Records.Release()
			out.needs = size
			break
		}
		out.records, err = res.Records.ReadAll(out.records)
		res.Records.Release()
		var batches []sharepartition.LogBatch
		if err == nil {
			batches, err = parse(out.records[at:])
		}
		if err != nil {
			out.records, out.err = out.records[:at], err
			break
		}
		a := l.p.Acquire(now, sharepartition.Request{
			Member: w.member, RecordLimit: w.recordLimit, MaxRecords: w.maxRecords - out.count, BatchSize: w.batchSize, Had: out.count,
			From: from, Batches: batches, Aborted: aborted(res),
		})
		out.records = out.records[:at+keep(out.records[at:], a.Ranges)]
		out.ranges, out.count = w.join(out.ranges, a.Ranges), out.count+a.Count
		if a.Full || len(a.Ranges) == 0 && !a.Passed {
			break
		}
	}
	if out.count > 0 {
		out.err = nil // the member hears it the next time, if it lasts: what it has acquired it must get
	}
	return out
}

// join appends ranges. The first of them goes on with the last one there is, unless that is as long as one is to be.
func (w *want) join(all, more []sharepartition.Range) []sharepartition.Range {
	if n := len(all); n > 0 && len(more) > 0 {
		last := &all[n-1]
		if last.Last+1 == more[0].First && last.Deliveries == more[0].Deliveries && (w.recordLimit || int(last.Last-last.First)+1 < w.batchSize) {
			last.Last, more = more[0].Last, more[1:]
		}
	}
	return append(all, more...)
}

// read reads the log from an offset on; no Records: there are none.
func (l *led) read(from model.Offset, maxBytes int, minOne, committed bool) (replica.ReadResult, error) {
	res, err := l.replica.Read(replica.ReadRequest{
		From: from, MaxBytes: maxBytes, MinOne: minOne, Committed: committed, LeaderEpoch: l.epoch, LastEpoch: model.NoEpoch,
	})
	if !errors.Is(err, replica.ErrOffsetOutOfRange) {
		return l.nonEmpty(res), err
	}
	if from >= res.LogStart { // past the end of a log that has lost records: they come
		return replica.ReadResult{}, nil
	}
	l.p.LogStart(res.LogStart)
	if from, ok := l.p.NextFetch(); ok && from >= res.LogStart {
		return l.read(from, maxBytes, minOne, committed)
	}
	return replica.ReadResult{}, nil
}

func (l *led) nonEmpty(res replica.ReadResult) replica.ReadResult {
	if res.Records != nil && res.Records.Len() == 0 {
		res.Records.Release()
		res.Records = nil
	}
	return res
}

// peek is how many bytes a member that takes so many might get.
func (l *led) peek(maxBytes int) int {
	if l.p == nil || maxBytes <= 0 {
		return 0
	}
	from, ok := l.p.NextFetch()
	if l.full = !ok; l.full {
		return 0
	}
	res, err := l.read(from, maxBytes, true, l.s.o.Config(l.key.Group).Committed)
	if err != nil || res.Records == nil {
		return 0
	}
	defer res.Records.Release()
	return res.Records.Len()
}

// parse says what sharepartition needs to know of batches.
func parse(b []byte) (out []sharepartition.LogBatch, err error) {
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if err != nil {
			return nil, err
		}
		x := sharepartition.LogBatch{
			Base: batch.BaseOffset(), Last: batch.LastOffset(), Producer: batch.ProducerID(),
			Transactional: batch.IsTransactional(), Control: batch.IsControl(),
		}
		if x.Control {
			m, err := record.ParseControl(batch)
			x.Abort = err != nil || m.Type != record.Commit // compaction leaves markers without a record; whatever it was, its transaction is over
		}
		out, b = append(out, x), rest
	}
	return out, nil
}

func aborted(res replica.ReadResult) []sharepartition.Aborted {
	out := make([]sharepartition.Aborted, len(res.Aborted))
	for i, a := range res.Aborted {
		out[i] = sharepartition.Aborted{Producer: a.Producer, First: a.FirstOffset}
	}
	return out
}

// keep moves the batches of which there are acquired records to the front, and returns their length. The batches are known to be whole.
func keep(b []byte, ranges []sharepartition.Range) (kept int) {
	for at := 0; at < len(b); {
		batch := record.Batch(b[at:])
		base, last, size := batch.BaseOffset(), batch.LastOffset(), batch.Size()
		for len(ranges) > 0 && ranges[0].Last < base {
			ranges = ranges[1:]
		}
		if len(ranges) == 0 {
			break
		}
		if ranges[0].First <= last {
			kept += copy(b[kept:], b[at:at+size])
		}
		at += size
	}
	return kept
}
