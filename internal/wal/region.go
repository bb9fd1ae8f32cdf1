package wal

import (
	"fmt"
	"io"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Region is a range of whole batches in a segment file. It holds the file open, so that the bytes can be
// read even after retention has deleted the segment. It is for one goroutine, and must be released.
type Region struct {
	f    *file
	log  *Log
	gen  uint32
	pos  int64
	n    int64
	next model.Offset
}

// Len is the length in bytes.
func (r *Region) Len() int { return int(r.n) }

// Next is the offset after the last batch, where a reader goes on; of an empty region, the offset asked for.
func (r *Region) Next() model.Offset { return r.next }

// Release lets go of the file. The region is empty then.
func (r *Region) Release() {
	if r.f != nil {
		r.f.release()
	}
	r.f, r.n = nil, 0
}

// start is where the region begins, or would with a batch at pos.
func (r *Region) start(pos int64) int64 {
	if r.n > 0 {
		return r.pos
	}
	return pos
}

// WriteTo writes the batches to w in bounded pieces. It fails with ErrTruncated if the log was truncated
// since the Read.
func (r *Region) WriteTo(w io.Writer) (int64, error) {
	if r.n == 0 {
		return 0, nil
	}
	pooled := scanBuffers.Get().(*[]byte)
	defer scanBuffers.Put(pooled)
	var done int64
	for done < r.n {
		b := (*pooled)[:min(r.n-done, scanChunk)]
		if err := r.readAt(b, r.pos+done); err != nil {
			return done, err
		}
		n, err := w.Write(b)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// ReadAll appends the batches to dst.
func (r *Region) ReadAll(dst []byte) ([]byte, error) {
	if r.n == 0 {
		return dst, nil
	}
	from := len(dst)
	dst = append(dst, make([]byte, r.n)...)
	if err := r.readAt(dst[from:], r.pos); err != nil {
		return dst[:from], err
	}
	return dst, nil
}

func (r *Region) readAt(b []byte, pos int64) error {
	_, err := r.f.ReadAt(b, pos)
	if gone := r.Valid(); gone != nil {
		return gone
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.f.name, err)
	}
	return nil
}

// Valid is ErrTruncated if the log was truncated since the Read. Who reads the file himself asks after each step.
func (r *Region) Valid() error {
	if r.log.generation.Load() != r.gen {
		return ErrTruncated
	}
	return nil
}

// Descriptor is the file's descriptor and the position of the region in it, for sendfile; false if the file has none. It
// may be used until Release: the region's reference keeps the file open, whatever the bounded cache of open files closes
// and whatever retention deletes.
//
// A socket that was given bytes by sendfile refers to the page cache's own pages until the client has them, which is long
// after the call has returned and the region was released. It must never see them change (L2):
//   - A position below the end of a log is written once. What is appended behind it, into the same page or space zeroed
//     ahead, touches no byte before.
//   - What was checked is sent from the page cache in which it was checked, or, if that has let go of it, from the disk:
//     the same that a read into memory would return.
//   - Deletion, by retention or of the topic, removes names and changes no page. Cutting off what lies past the end (a full
//     disk, a new segment, a clean close) changes none before it.
//   - Truncate alone takes back bytes that a Read has returned: the rest of the page in which it cuts turns to zeros, and
//     is written again. A standalone node truncates only in recovery, before there are readers. In a cluster a
//     replica truncates to where it parts from its leader, which is not below its high watermark (R2), and consumers read below
//     that. What remains is an election that is unclean by its topic's leave (R4), which gives up records that were acknowledged:
//     a response on its way is then broken off (Valid), and one that has left for the socket holds up to the cut
//     what was stored, and past it whole batches of the new log, or zeros or a torn batch, which are not batches
//     by their length or checksum.
//
// So only what consumers may read should be sent this way, which is all that Read is given as its limit.
func (r *Region) Descriptor() (fd uintptr, pos int64, ok bool) {
	if r.f == nil {
		return 0, 0, false
	}
	fder, ok := r.f.File.(vfs.FDer)
	if !ok {
		return 0, 0, false
	}
	return fder.FD(), r.pos, true
}
