package wire

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// Region is a range of stored records that writes itself to a socket, from a file or from memory, without passing
// through a buffer of this package.
type Region interface {
	// Len is the number of bytes that WriteTo writes. It does not change.
	Len() int
	WriteTo(w io.Writer) (int64, error)
	// Release gives back what the region holds. It is called exactly once, after which no other method is.
	Release()
}

// FileRegion is a Region that can also be had in other ways, if the file it lies in and the connection it goes to allow.
type FileRegion interface {
	Region
	// ReadAll appends the bytes to dst, which saves WriteTo's detour where memory is what they are wanted in.
	ReadAll(dst []byte) ([]byte, error)
	// Descriptor is an open file of the operating system and the position of the bytes in it, for sendfile; false if there is none.
	// It may be used until Release.
	Descriptor() (fd uintptr, pos int64, ok bool)
	// Valid tells whether the file still holds the region's bytes. Who uses Descriptor asks after each step, and breaks the
	// connection off if it does not.
	Valid() error
}

// ErrRegion: a region did not write what its Len said. The client has part of a response: close the connection.
var ErrRegion = errors.New("records changed while they were sent")

// Frame is an encoded response: bytes, with regions in between. The zero value is ready for Encode, and again after
// Release, which keeps the memory.
type Frame struct {
	buf  []byte
	cuts []cut
	size int64
}

// cut is a place in buf where a region goes.
type cut struct {
	at     int
	region Region
}

// Segment is a stretch of bytes and the region that follows it on the wire; Region is nil in the last.
type Segment struct {
	Bytes  []byte
	Region Region
}

// Len is the length of the whole frame, size prefix included.
func (f *Frame) Len() int64 { return f.size }

// Segments yields the frame in order, for a writer that gathers. The bytes are valid until Release.
func (f *Frame) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		from := 0
		for _, c := range f.cuts {
			if !yield(Segment{Bytes: f.buf[from:c.at], Region: c.region}) {
				return
			}
			from = c.at
		}
		if from < len(f.buf) {
			yield(Segment{Bytes: f.buf[from:]})
		}
	}
}

// WriteTo writes the whole frame. After an error the connection is of no more use. It does not release.
func (f *Frame) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for s := range f.Segments() {
		n, err := w.Write(s.Bytes)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if s.Region == nil {
			continue
		}
		m, err := s.Region.WriteTo(w)
		total += m
		if err != nil {
			return total, err
		}
		if m != int64(s.Region.Len()) {
			return total, fmt.Errorf("%w: %d bytes of %d", ErrRegion, m, s.Region.Len())
		}
	}
	return total, nil
}

// Release releases the regions and makes the frame ready for another Encode.
func (f *Frame) Release() {
	for i := range f.cuts {
		f.cuts[i].region.Release()
	}
	clear(f.cuts)
	f.buf, f.cuts, f.size = f.buf[:0], f.cuts[:0], 0
}

// insert marks a place in the bytes as that of a region. An empty one is released at once.
func (f *Frame) insert(at int, r Region) {
	if r.Len() == 0 {
		r.Release()
		return
	}
	f.cuts = append(f.cuts, cut{at: at, region: r})
	f.size += int64(r.Len())
}
