package server

import "chronik/internal/wire"

// copyBelow is the size of a region from which on its bytes go to the socket by themselves, from the page cache if they
// can; smaller ones are copied beside the rest of the response, because a system call, and a second wakeup of the client, cost
// more.
const copyBelow = 16 << 10

// emitFetch sends a Fetch response: what surrounds the records from the encoding buffer, the records from where they are.
func (c *Conn) emitFetch(out *outBuf, s *Slot) error {
	f := &out.frame
	resp := s.reply.fetch
	s.reply.fetch = nil // the frame has its regions now
	defer f.Release()
	if err := f.Encode(s.req.CorrelationID, resp); err != nil {
		return err
	}
	for seg := range f.Segments() {
		out.bytes = append(out.bytes, seg.Bytes...)
		if seg.Region == nil {
			continue
		}
		n, err := c.emitRegion(out, seg.Region)
		if err == nil && n != int64(seg.Region.Len()) {
			err = wire.ErrRegion
		}
		if err != nil {
			return err
		}
		if len(out.bytes) >= writeChunk {
			if err := c.writeOut(out); err != nil {
				return err
			}
		}
	}
	s.sent = true
	if c.fileSender == nil {
		return nil
	}
	err := c.writeOut(out)
	c.fileSender.uncork()
	return err
}

// emitRegion sends a region behind what is encoded, or adds it to that.
func (c *Conn) emitRegion(out *outBuf, r wire.Region) (n int64, err error) {
	file, inFile := r.(wire.FileRegion)
	switch {
	case r.Len() >= copyBelow && inFile:
		if n, done, err := c.sendFile(out, file); done {
			return n, err
		}
	case r.Len() < copyBelow && inFile:
		had := len(out.bytes)
		out.bytes, err = file.ReadAll(out.bytes)
		return int64(len(out.bytes) - had), err
	case r.Len() < copyBelow:
		return r.WriteTo(out)
	}
	if err := c.writeOut(out); err != nil {
		return 0, err
	}
	c.clock.writeBegan.Store(c.server.now())
	n, err = r.WriteTo(progress{c})
	c.wrote(n)
	return n, err
}

// Write appends to the encoding buffer.
func (o *outBuf) Write(b []byte) (int, error) {
	o.bytes = append(o.bytes, b...)
	return len(b), nil
}

// progress is a connection to which a region writes itself, with every step noted: a slow client is not one that
// takes nothing.
type progress struct{ c *Conn }

func (p progress) Write(b []byte) (int, error) {
	n, err := p.c.sink.Write(b)
	p.c.clock.moved(p.c.server.now())
	return n, err
}
