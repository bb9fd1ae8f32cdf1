package runtime

import (
	"errors"
	"fmt"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replica"
)

// reader reads what a shard has to replay, and the next piece of it while the one before is decoded.
type reader struct {
	log        Partition
	epoch      model.LeaderEpoch
	until      model.Offset
	pieceBytes int
	gone       <-chan struct{}

	stop   chan struct{} // closed when no more pieces are wanted
	pieces chan piece
	used   chan []byte // buffers to read into again
}

// piece is whole batches, checked; or why there are none.
type piece struct {
	bytes []byte
	err   error
}

// errShort: the log does not lead to where it ended.
var errShort = errors.New("the log holds less than it did when the load began")

// replay has a shard replay the log from its start up to until, and returns how many records that were.
func (r *reader) replay(sh *shard.Shard) (records int64, err error) {
	r.stop, r.pieces, r.used = make(chan struct{}), make(chan piece), make(chan []byte, 2)
	r.used <- nil
	r.used <- nil
	go r.read()
	defer func() {
		close(r.stop)
		for range r.pieces { // until the other one has ended
		}
	}()
	for p := range r.pieces {
		if p.err != nil {
			return records, p.err
		}
		for rest := p.bytes; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Next(rest); err != nil {
				return records, err
			}
			if b.BaseOffset() >= r.until {
				return records, nil
			}
			if err = sh.Replay(b); err != nil {
				return records, err
			}
			records += int64(b.RecordCount())
		}
		r.used <- p.bytes[:0]
	}
	return records, nil
}

// read sends pieces until there are no more.
func (r *reader) read() {
	defer close(r.pieces)
	for from := model.Offset(0); from < r.until; {
		var p piece
		select {
		case buf := <-r.used:
			p.bytes, from, p.err = r.next(from, buf)
		case <-r.stop:
			return
		case <-r.gone:
			p.err = errGone
		}
		if p.err == nil && len(p.bytes) == 0 {
			return
		}
		select {
		case r.pieces <- p:
		case <-r.stop:
			return
		}
		if p.err != nil {
			return
		}
	}
}

// next reads a piece from an offset on, and returns where the one after it begins. The piece is empty if the log has been deleted up to until.
func (r *reader) next(from model.Offset, buf []byte) ([]byte, model.Offset, error) {
	q := replica.ReadRequest{From: from, MaxBytes: r.pieceBytes, MinOne: true, LeaderEpoch: r.epoch, LastEpoch: model.NoEpoch}
	res, err := r.log.Read(q)
	for errors.Is(err, replica.ErrOffsetOutOfRange) && res.LogStart > q.From {
		if q.From = res.LogStart; q.From >= r.until {
			return nil, q.From, nil
		}
		res, err = r.log.Read(q)
	}
	if err == nil && (res.Records == nil || res.Records.Len() == 0) {
		err = errShort
	}
	if err != nil {
		return nil, from, fmt.Errorf("reading from offset %d: %w", q.From, err)
	}
	defer res.Records.Release()
	if buf, err = res.Records.ReadAll(buf); err != nil {
		return nil, from, fmt.Errorf("reading from offset %d: %w", q.From, err)
	}
	for rest := buf; len(rest) > 0; {
		var b record.Batch
		if b, rest, err = record.Next(rest); err == nil {
			err = b.Check()
		}
		if err != nil {
			return nil, from, fmt.Errorf("reading from offset %d: %w", q.From, err)
		}
	}
	return buf, res.Records.Next(), nil
}
