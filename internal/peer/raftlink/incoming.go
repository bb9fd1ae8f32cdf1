package raftlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"chronik/internal/link"
)

const (
	// maxIncoming is how many snapshots may arrive at a time. Only a leader sends any.
	maxIncoming = 2
	// creditStep is how much is read before the sender may send that much more.
	creditStep = window / 4
)

var errManySnapshots = errors.New("other snapshots are being received; retry")

// incoming is a snapshot on its way in: a reader for the replica, fed by the link.
type incoming struct {
	link *link.Link

	mu      sync.Mutex
	pieces  [][]byte
	left    int64         // still to come
	credit  int           // that the sender has
	owed    int           // read since the last credit
	failure error         // why no more comes
	more    chan struct{} // of capacity 1
}

// begin starts to receive a snapshot.
func (r *receiving) begin(body []byte) error {
	size, m, err := decodeBegin(body)
	if err != nil {
		return err
	}
	t := r.transport
	t.mu.Lock()
	ok := !t.closed && t.getting < maxIncoming
	if ok {
		t.getting++
		t.running.Add(1)
	}
	t.mu.Unlock()
	if !ok {
		return errManySnapshots
	}
	in := &incoming{link: r.link, left: size, credit: window, more: make(chan struct{}, 1)}
	r.incoming = in
	go func() {
		defer t.running.Done()
		ctx, cancel := context.WithCancelCause(t.ctx)
		defer cancel(nil)
		stop := context.AfterFunc(ctx, func() { in.end(context.Cause(ctx)) })
		defer stop()
		err := r.receiver.ReceiveSnapshot(ctx, r.from, m, in)
		t.mu.Lock()
		t.getting--
		t.mu.Unlock()
		in.received(err)
	}()
	return nil
}

// add takes a piece from the link.
func (in *incoming) add(piece []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n := len(piece); n == 0 || n > in.credit || int64(n) > in.left {
		return fmt.Errorf("%w: a piece of %d bytes of a snapshot, where %d may come and %d are left", link.ErrDamaged, n, in.credit, in.left)
	}
	in.credit -= len(piece)
	in.left -= int64(len(piece))
	if in.failure == nil {
		in.pieces = append(in.pieces, append([]byte(nil), piece...))
	}
	in.tell()
	return nil
}

// tell wakes the reader.
func (in *incoming) tell() {
	select {
	case in.more <- struct{}{}:
	default:
	}
}

// end says that no more comes, unless all of it has.
func (in *incoming) end(reason error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failure == nil && in.left > 0 {
		in.failure = fmt.Errorf("the snapshot ends with %d bytes missing: %w", in.left, reason)
		in.pieces = nil
	}
	in.tell()
}

// Read implements io.Reader.
func (in *incoming) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, owed, err := in.take(b)
		if owed > 0 { // if it cannot be queued the link is about to end, and so the snapshot
			if bad := in.link.TrySend(typeCredit, encodeCredit(owed), nil, nil); bad != nil {
				in.link.Close(bad)
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
		<-in.more
	}
}

// take reads what is there, and tells how much credit is to be given back.
func (in *incoming) take(b []byte) (n, owed int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.failure != nil:
		return 0, 0, in.failure
	case len(in.pieces) > 0:
		n = copy(b, in.pieces[0])
		if in.pieces[0] = in.pieces[0][n:]; len(in.pieces[0]) == 0 {
			in.pieces = in.pieces[1:]
		}
		if in.owed += n; in.owed >= creditStep && in.left > 0 {
			owed, in.owed = in.owed, 0
			in.credit += owed
		}
		return n, owed, nil
	case in.left == 0:
		return 0, 0, io.EOF
	}
	return 0, 0, nil
}

// received tells the sender what has come of it, and takes no more.
func (in *incoming) received(err error) {
	in.mu.Lock()
	if err == nil && (in.left > 0 || len(in.pieces) > 0) {
		err = errors.New("it was not read to its end")
	}
	if in.failure == nil && err != nil {
		in.failure = err
	}
	in.pieces = nil
	in.mu.Unlock()
	var why []byte
	if err != nil {
		text := err.Error()
		why = append(why, text[:min(len(text), maxWhy)]...)
		if len(why) == 0 {
			why = []byte("?")
		}
	}
	if bad := in.link.TrySend(typeReceived, why, nil, nil); bad != nil {
		in.link.Close(bad)
	}
}
