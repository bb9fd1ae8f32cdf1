package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"chronik/internal/wire"
)

// fileRegion is a range of a file. It counts what is done with it.
type fileRegion struct {
	f        *os.File
	pos      int64
	n        int
	fd       uintptr // instead of f's, if not 0
	none     bool    // it has no descriptor
	asked    *atomic.Int32
	copied   *atomic.Int32
	released *atomic.Int32
	valid    func() error
}

func (r *fileRegion) Len() int { return r.n }
func (r *fileRegion) Release() { r.released.Add(1) }

func (r *fileRegion) ReadAll(dst []byte) ([]byte, error) {
	b := make([]byte, r.n)
	_, err := r.f.ReadAt(b, r.pos)
	return append(dst, b...), err
}

func (r *fileRegion) WriteTo(w io.Writer) (int64, error) {
	r.copied.Add(1)
	return io.Copy(w, io.NewSectionReader(r.f, r.pos, int64(r.n)))
}

func (r *fileRegion) Descriptor() (uintptr, int64, bool) {
	r.asked.Add(1)
	if r.fd != 0 {
		return r.fd, r.pos, true
	}
	return r.f.Fd(), r.pos, !r.none
}

func (r *fileRegion) Valid() error {
	if r.valid != nil {
		return r.valid()
	}
	return nil
}

// stored is a file of random bytes of which regions are made.
type stored struct {
	f                       *os.File
	bytes                   []byte
	asked, copied, released atomic.Int32
}

func store(t testing.TB, n int) *stored {
	t.Helper()
	s := &stored{bytes: make([]byte, n)}
	_, _ = rand.NewChaCha8([32]byte{1}).Read(s.bytes) // never fails
	name := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(name, s.bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.f, err = os.Open(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.f.Close() })
	return s
}

func (s *stored) region(pos int64, n int) *fileRegion {
	return &fileRegion{f: s.f, pos: pos, n: n, asked: &s.asked, copied: &s.copied, released: &s.released}
}

// fetching answers each Fetch with new regions.
func fetching(regions func() []wire.Region) Handler {
	return HandlerFunc(func(_ context.Context, req *Request, s *Slot) { s.SendFetch(fetchReply(req.Version, regions()...)) })
}

// records fetches once and returns each partition's records.
func (c *client) records() [][]byte {
	c.t.Helper()
	const version = 11
	c.send(frame(wire.KeyFetch, version, 1, nil))
	_, body, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = version
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatal(err)
	}
	var out [][]byte
	for _, p := range resp.Topics[0].Partitions {
		out = append(out, p.RecordBatches)
	}
	return out
}

// TestSendfileSizes: whatever the sizes and positions, over whatever connection, the client gets the file's bytes.
func TestSendfileSizes(t *testing.T) {
	file := store(t, 24<<20)
	sizes := []int{1, 60, copyBelow - 1, copyBelow, copyBelow + 1, 64<<10 - 1, 64 << 10, 300_001, 1 << 20, 3<<20 + 7, 9 << 20, 0, 17}
	large := 0
	for _, n := range sizes {
		if n >= copyBelow {
			large++
		}
	}
	for name, c := range map[string]struct {
		tcp    bool
		change func(*fileRegion)
		copied int
	}{
		"TCP":                          {tcp: true},
		"in memory":                    {copied: large},
		"TCP, file without descriptor": {tcp: true, change: func(r *fileRegion) { r.none = true }, copied: large},
		"TCP, no sendfile":             {tcp: true, change: withoutSendfile(t), copied: large},
	} {
		t.Run(name, func(t *testing.T) {
			file.copied.Store(0)
			file.released.Store(0)
			var want [][]byte
			var conn atomic.Pointer[Conn]
			h := start(t, setup{tcp: c.tcp, handler: HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
				var regions []wire.Region
				conn.Store(req.Conn)
				pos := 4096 + 13
				want = nil
				for _, n := range sizes {
					r := file.region(int64(pos), n)
					if c.change != nil {
						c.change(r)
					}
					regions, want = append(regions, r), append(want, file.bytes[pos:pos+n])
					pos += n + 1
				}
				s.SendFetch(fetchReply(req.Version, regions...))
			})})
			client := h.client()
			const rounds = 3
			for range rounds {
				for i, got := range client.records() {
					if !bytes.Equal(got, want[i]) {
						t.Errorf("region %d: got %d bytes that are not the %d of the file", i, len(got), len(want[i]))
					}
				}
			}
			client.records()
			eventually(t, "the socket holds no packets back after the reply", func() bool { return !corked(t, conn.Load().nc) })
			_ = client.Close()
			h.stop()
			if n := int(file.copied.Load()); n != (rounds+1)*c.copied {
				t.Errorf("%d regions were copied, want %d", n, (rounds+1)*c.copied)
			}
			if n := int(file.released.Load()); n != (rounds+1)*len(sizes) {
				t.Errorf("%d regions were released, want %d", n, (rounds+1)*len(sizes))
			}
		})
	}
}

// corked tells whether a socket holds packets back until they are full.
func corked(t *testing.T, nc net.Conn) bool {
	t.Helper()
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return false
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	on := 0
	if cerr := rc.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return on != 0
}

// withoutSendfile gives a region a descriptor that sendfile cannot read from, as some file systems' are: a directory's.
func withoutSendfile(t *testing.T) func(*fileRegion) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return func(r *fileRegion) { r.fd = f.Fd() }
}

// drops reads little at a time.
type drops struct {
	net.Conn
	rng *rand.Rand
}

func (d drops) Read(b []byte) (int, error) { return d.Conn.Read(b[:1+d.rng.IntN(min(len(b), 16<<10))]) }

// TestSendfileToASlowReader: a client that takes its reply in drops gets all of it.
func TestSendfileToASlowReader(t *testing.T) {
	file := store(t, 16<<20)
	h := start(t, setup{tcp: true, handler: fetching(func() []wire.Region {
		return []wire.Region{file.region(0, 16<<20), file.region(5, 100), file.region(7, 1<<20)}
	})})
	c := h.client()
	slow := &client{Conn: drops{c.Conn, rand.New(rand.NewPCG(1, 2))}, t: t}
	got := slow.records()
	for i, want := range [][]byte{file.bytes, file.bytes[5:105], file.bytes[7 : 7+1<<20]} {
		if !bytes.Equal(got[i], want) {
			t.Errorf("region %d: got %d bytes that are not the %d of the file", i, len(got[i]), len(want))
		}
	}
	_ = c.Close()
	h.stop()
	if n := file.copied.Load(); n != 0 {
		t.Errorf("%d regions were copied", n)
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestSendfileToLostClients: clients that go away in the middle of a region leave nothing behind.
func TestSendfileToLostClients(t *testing.T) {
	file := store(t, 32<<20)
	before := descriptors(t)
	h := start(t, setup{tcp: true, handler: fetching(func() []wire.Region {
		return []wire.Region{file.region(0, 32<<20), file.region(0, 100), file.region(0, 1<<20)}
	})})
	const clients = 8
	for i := range clients {
		c := h.client()
		c.send(frame(wire.KeyFetch, 11, 1, nil))
		if _, err := io.CopyN(io.Discard, c, 1000+int64(i)*100_000); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	eventually(t, "the server forgets the connections", func() bool { return h.metrics.ConnectionsOpen.Load() == 0 })
	h.stop()
	if n := file.released.Load(); n != 3*clients {
		t.Errorf("%d regions were released, want %d", n, 3*clients)
	}
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors are open, %d were before", n, before)
	}
}

// TestSendfileOfWhatWasTruncated: a region whose log is truncated while it is sent is broken off, and the client sees
// that; so is one whose file is shorter than it should be.
func TestSendfileOfWhatWasTruncated(t *testing.T) {
	gone := errors.New("truncated")
	for name, region := range map[string]func(*stored) *fileRegion{
		"before": func(s *stored) *fileRegion {
			r := s.region(0, 8<<20)
			r.valid = func() error { return gone }
			return r
		},
		"meanwhile": func(s *stored) *fileRegion {
			r := s.region(0, 8<<20)
			asked := 0
			r.valid = func() error {
				if asked++; asked > 3 {
					return gone
				}
				return nil
			}
			return r
		},
		"file too short": func(s *stored) *fileRegion { return s.region(1<<20, 8<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			file := store(t, 8<<20)
			h := start(t, setup{tcp: true, handler: fetching(func() []wire.Region { return []wire.Region{region(file)} })})
			c := h.client()
			c.send(frame(wire.KeyFetch, 11, 1, nil))
			c.expectEnd()
			h.stop()
			if n := file.released.Load(); n != 1 {
				t.Errorf("%d regions were released, want 1", n)
			}
			if n := h.metrics.Replies.Load(); n != 0 {
				t.Errorf("%d replies count as sent", n)
			}
		})
	}
}

// TestSendfileDeadlines: a client that takes nothing is cut off, by the connection's write deadline and by the sweeper.
func TestSendfileDeadlines(t *testing.T) {
	file := store(t, 32<<20)
	var conn atomic.Pointer[Conn]
	handler := HandlerFunc(func(_ context.Context, req *Request, s *Slot) {
		conn.Store(req.Conn)
		s.SendFetch(fetchReply(req.Version, file.region(0, 32<<20)))
	})
	t.Run("write deadline", func(t *testing.T) {
		h := start(t, setup{tcp: true, handler: handler})
		c := h.client()
		c.send(frame(wire.KeyFetch, 11, 1, nil))
		if _, err := io.CopyN(io.Discard, c, 1000); err != nil {
			t.Fatal(err)
		}
		if err := conn.Load().nc.SetWriteDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the region is released", func() bool { return file.released.Swap(0) == 1 })
		if reason := conn.Load().failed.Load(); reason == nil || !errors.Is(reason.reason, os.ErrDeadlineExceeded) {
			t.Errorf("the connection ended for %v, want the deadline", reason)
		}
		_ = c.Close()
		h.stop()
	})
	t.Run("sweeper", func(t *testing.T) {
		h := start(t, setup{tcp: true, handler: handler, limits: Limits{IdleTimeout: 50 * time.Millisecond}})
		c := h.client()
		c.send(frame(wire.KeyFetch, 11, 1, nil))
		eventually(t, "the region is released", func() bool { return file.released.Swap(0) == 1 })
		if n := h.metrics.ConnectionsIdle.Load(); n != 1 {
			t.Errorf("%d connections count as idle, want 1", n)
		}
		_ = c.Close()
		h.stop()
	})
}

// BenchmarkFetch measures one connection that fetches regions of several sizes from the page cache over loopback, by
// sendfile and by copying.
func BenchmarkFetch(b *testing.B) {
	file := store(b, 8<<20)
	for _, size := range []struct {
		name  string
		bytes int
	}{{"4KiB", 4 << 10}, {"16KiB", 16 << 10}, {"32KiB", 32 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}, {"8MiB", 8 << 20}} {
		for _, way := range []string{"sendfile", "copy"} {
			b.Run(size.name+"/"+way, func(b *testing.B) {
				h := start(b, setup{tcp: true, handler: fetching(func() []wire.Region {
					r := file.region(0, size.bytes)
					r.none = way == "copy"
					return []wire.Region{r}
				})})
				c := h.client()
				request := frame(wire.KeyFetch, 12, 1, nil)
				b.SetBytes(int64(size.bytes))
				b.ReportAllocs()
				buf := make([]byte, 9<<20)
				for b.Loop() {
					c.send(request)
					if _, err := io.ReadFull(c, buf[:4]); err != nil {
						b.Fatal(err)
					}
					n := int(buf[0])<<24 | int(buf[1])<<16 | int(buf[2])<<8 | int(buf[3])
					if _, err := io.ReadFull(c, buf[:n]); err != nil {
						b.Fatal(err)
					}
				}
				_ = c.Close()
				h.stop()
			})
		}
	}
}
