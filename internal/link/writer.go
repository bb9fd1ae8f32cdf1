package link

import (
	"errors"
	"net"
	"time"
)

// write is the writer goroutine: it sends what is queued and what the session has, and heartbeats when it has sent nothing else. At the end it says
// goodbye and closes the connection.
func (l *Link) write(s Session) {
	defer close(l.wrote)
	w := writer{link: l, session: s, out: newBatch(l.maxBody)}
	defer func() {
		w.out.reset()
		_ = l.conn.Close()
	}()
	ticker := time.NewTicker(l.beat)
	defer ticker.Stop()
	for more := false; ; {
		if !more && !w.await(ticker.C) {
			w.goodbye()
			return
		}
		more = w.fill()
		if err := w.flush(); err != nil {
			l.Close(err)
			return // the peer would take a goodbye for the rest of a frame
		}
	}
}

type writer struct {
	link    *Link
	session Session
	out     *Batch
	idle    bool      // nothing was written since the last tick
	until   time.Time // the write deadline that is set
}

// await waits until there may be something to write. It is false when the link is to end.
func (w *writer) await(tick <-chan time.Time) bool {
	l := w.link
	for {
		select {
		case <-l.done:
			return false
		default:
		}
		if l.awake.Swap(false) {
			return true
		}
		select {
		case <-l.wake: // awake says whether it still counts
		case <-l.done:
			return false
		case <-tick:
			if w.idle {
				w.out.begin(typeHeartbeat)
				_ = w.out.End() // it is small
				return true
			}
			w.idle = true
		}
	}
}

// fill gathers what there is to write, and tells whether that was not all.
func (w *writer) fill() (more bool) {
	l := w.link
	select {
	case <-l.done:
		return false
	default:
	}
	if w.out.empty() { // else it holds a heartbeat
		w.out = l.takeQueue(w.out)
	}
	if w.out.Full() {
		return true
	}
	return w.session.Fill(w.out)
}

// flush writes the batch.
func (w *writer) flush() error {
	if w.out.empty() {
		return nil
	}
	l := w.link
	if now := time.Now(); w.until.Sub(now) < l.timing.Stall/2 {
		w.until = now.Add(l.timing.Stall)
		_ = l.conn.SetWriteDeadline(w.until)
		select {
		case <-l.done: // Close may have set its own just before
			_ = l.conn.SetWriteDeadline(now.Add(farewell))
		default:
		}
	}
	whole := w.out.buffers()
	keep := *whole
	err := l.send(whole)
	clear(keep)
	w.out.gather = keep[:0]
	w.out.reset()
	w.idle = false
	return err
}

// send writes everything at once, as far as the connection can.
func (l *Link) send(b *net.Buffers) error {
	s, ok := l.conn.(*secured)
	if ok {
		s.under.hold()
	}
	_, err := b.WriteTo(l.conn)
	if ok {
		err = errors.Join(err, s.under.release())
	}
	return err
}

// goodbye tells the peer the reason, unless the network is why.
func (w *writer) goodbye() {
	l := w.link
	reason := l.Reason()
	var silent *SilentError
	var bye *GoodbyeError
	if errors.As(reason, &silent) || errors.As(reason, &bye) {
		return
	}
	w.out.reset()
	w.out.begin(typeGoodbye)
	text := reason.Error()
	w.out.Append([]byte(text[:min(len(text), maxReason)]))
	if w.out.End() == nil {
		_ = l.send(w.out.buffers()) // within the deadline that Close has set
	}
}
