package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"chronik/internal/mem"
)

const (
	chunkSize = 64 << 10
	// minRead is the room below which a read is not worth its call.
	minRead = 4 << 10
	// trustSize is how large a frame may claim to be and get all its memory at once. Larger ones get it as they arrive.
	trustSize = 1 << 20
)

// source cuts frames out of the bytes that arrive. Frames alias its chunk, which is not written to again where they are.
type source struct {
	conn    net.Conn
	maxBody int
	silence time.Duration
	until   time.Time // the read deadline that is set

	chunk *mem.Buf
	buf   []byte // chunk's bytes
	r, w  int    // what is in it and not delivered yet
}

// read is the reader's loop. It returns why it ended.
func (l *Link) read(s Session) error {
	src := source{conn: l.conn, maxBody: l.maxBody, silence: l.timing.Silence}
	src.take(mem.Get(chunkSize))
	defer func() { src.chunk.Release() }()
	for {
		n, need, err := src.deliver(func(kind byte, body []byte, buf *mem.Buf) error {
			if kind >= FirstType {
				return s.Frame(kind, body, buf)
			}
			return l.own(kind, body)
		})
		if n > 0 {
			s.Drained()
		}
		if err != nil {
			return err
		}
		src.makeRoom(need)
		if err := src.fill(); err != nil {
			return err
		}
	}
}

// own takes a frame that is the link's.
func (l *Link) own(kind byte, body []byte) error {
	switch kind {
	case typeHeartbeat:
		return nil
	case typeGoodbye:
		return &GoodbyeError{Node: l.peer.Node, Reason: printable(body)}
	}
	return fmt.Errorf("%w: type %d is not known in version %d", ErrDamaged, kind, l.peer.Version)
}

func (s *source) take(chunk *mem.Buf) { s.chunk, s.buf = chunk, chunk.Bytes() }

// deliver hands over the whole frames that are there. need is the size of the next one, as far as it is known.
func (s *source) deliver(frame func(byte, []byte, *mem.Buf) error) (delivered, need int, err error) {
	for s.w-s.r >= frameHeader {
		h, err := parseHeader(s.buf[s.r:s.w], s.maxBody)
		if err != nil {
			return delivered, 0, err
		}
		size := frameHeader + h.body
		if s.w-s.r < size {
			return delivered, size, nil
		}
		whole := s.buf[s.r : s.r+size : s.r+size]
		if err := checkFrame(h, whole); err != nil {
			return delivered, 0, err
		}
		s.r += size
		if err := frame(h.kind, whole[frameHeader:], s.chunk); err != nil {
			return delivered, 0, err
		}
		delivered++
	}
	return delivered, frameHeader, nil
}

// makeRoom sees to it that there is something to read into: for the rest of the next frame if that can be believed in, else for a good part of it. A
// frame that grows gets twice the memory when it has filled what it had, so all of its bytes together are copied fewer than two times each.
func (s *source) makeRoom(need int) {
	have, room := s.w-s.r, len(s.buf)-s.w
	least := minRead // while nothing is known of the frame, and while a large one grows
	switch {
	case need > frameHeader && have < trustSize:
		least = min(need, trustSize) - have
	case need > frameHeader:
		least = min(need-have, minRead)
	}
	if room >= least {
		return
	}
	next := mem.Get(max(chunkSize, min(need, max(trustSize, 2*have))))
	n := copy(next.Bytes(), s.buf[s.r:s.w])
	s.chunk.Release()
	s.take(next)
	s.r, s.w = 0, n
}

// fill reads what has arrived, waiting for something. A peer that is silent for too long is gone: if the time passed because this process did not
// run, its bytes are there by now, so it gets one more short wait.
func (s *source) fill() error {
	patience := s.silence * 7 / 8
	if now := time.Now(); s.until.Sub(now) < patience*7/8 {
		s.setDeadline(now.Add(patience))
	}
	n, err := s.conn.Read(s.buf[s.w:])
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		s.setDeadline(time.Now().Add(s.silence - patience))
		n, err = s.conn.Read(s.buf[s.w:])
		s.until = time.Time{}
	}
	s.w += n
	switch {
	case n > 0:
		return nil // an error comes again
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &SilentError{For: s.silence}
	case err == io.EOF:
		return fmt.Errorf("the peer closed the connection without a word: %w", io.ErrUnexpectedEOF)
	case err == nil:
		return fmt.Errorf("reading from the peer: %w", io.ErrNoProgress)
	}
	return fmt.Errorf("reading from the peer: %w", err)
}

func (s *source) setDeadline(t time.Time) {
	s.until = t
	_ = s.conn.SetReadDeadline(t)
}
