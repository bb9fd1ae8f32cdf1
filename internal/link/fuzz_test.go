package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"chronik/internal/link/certs/certstest"
	"chronik/internal/mem"
)

// canned is a connection on which the peer has said everything beforehand.
type canned struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *canned) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *canned) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *canned) Close() error                     { return nil }
func (c *canned) RemoteAddr() net.Addr             { return nil }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// FuzzHandshake: whatever a stranger says, on either side, there is an error, in bounded memory, and no link (E2, E5).
func FuzzHandshake(f *testing.F) {
	h := hello{oldest: 1, newest: 2, role: Replication, flags: flagSecret, node: 2, epoch: 5, silence: time.Second, clusterID: "cluster"}
	good := h.encode()
	proof := append(appendMessageHeader(nil, kindProof, macSize), make([]byte, macSize)...)
	f.Add(good)
	f.Add(append(bytes.Clone(good), proof...))
	f.Add(append(bytes.Clone(good), encodeRefusal(refuse(Denied, "no"))...))
	f.Add(encodeRefusal(refuse(OtherCluster, "another cluster")))
	h.role, h.clusterID = Control, ""
	f.Add(append(h.encode(), proof...))
	f.Fuzz(func(t *testing.T, said []byte) {
		for side, shake := range map[string]func(net.Conn) (*Link, error){
			"acceptor": func(c net.Conn) (*Link, error) { return Accept(context.Background(), c, config(1)) },
			"dialer":   func(c net.Conn) (*Link, error) { return Dial(context.Background(), c, config(1), Replication, 2) },
		} {
			c := &canned{in: bytes.NewReader(said)}
			if l, err := shake(c); err == nil || l != nil {
				t.Errorf("the %s took a stranger in: %v", side, err)
			}
			if c.out.Len() > 2*maxMessage {
				t.Errorf("the %s answered with %d bytes", side, c.out.Len())
			}
		}
		h, err := decodeHello(said)
		if err != nil {
			return
		}
		again := h.encode()[messageHeader:]
		if !bytes.Equal(again, said[:len(again)]) {
			t.Errorf("%+v was read from %x and is written as %x", h, said, again)
		}
	})
}

// FuzzOpening: whatever a stranger says first to a broker with TLS, or with both, there is an error, in bounded memory, and no link (E2, E5).
func FuzzOpening(f *testing.F) {
	ca := certstest.NewAuthority("ours")
	tlsOf := configOf(f, ca, 1)
	strict := tlsConfig(1, tlsOf)
	both := tlsConfig(1, tlsOf)
	both.Auth.AllowPlain, both.Auth.Secret = true, []byte(secret)
	said := &canned{in: bytes.NewReader(nil)} // what a client of TLS says first
	_, _ = Dial(context.Background(), Client(said, tlsOf, nil), tlsConfig(2, tlsOf), Control, 1)
	f.Add(said.out.Bytes())
	h := hello{oldest: 1, newest: 2, role: Replication, flags: flagSecret, node: 2, epoch: 5, silence: time.Second, clusterID: "cluster"}
	f.Add(h.encode())
	f.Add([]byte("CHLK"))
	f.Add([]byte{22, 3, 1, 0xff, 0xff, 1})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		for name, cfg := range map[string]Config{"without TLS": config(1), "with TLS": strict, "with both": both} {
			c := &canned{in: bytes.NewReader(said)}
			if l, err := Accept(context.Background(), c, cfg); err == nil || l != nil {
				t.Fatalf("a broker %s took a stranger in: %v", name, err)
			}
			if c.out.Len() > 16<<10 {
				t.Errorf("a broker %s answered with %d bytes", name, c.out.Len())
			}
			if len(said) >= openingSize && classify([openingSize]byte(said)) == strange && c.out.Len() > 0 {
				t.Errorf("a broker %s answered a stranger with %q", name, c.out.Bytes())
			}
		}
	})
}

// FuzzFrames: any bytes after the handshake are frames that were whole, or the end of the link with a reason (E2).
func FuzzFrames(f *testing.F) {
	f.Add(encoded(FirstType, "one body"), 3)
	f.Add(append(encoded(FirstType, ""), encoded(200, "another")...), 1)
	f.Add(append(encoded(typeHeartbeat, ""), encoded(typeGoodbye, "so long\n")...), 7)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0}, 2)
	f.Add([]byte{6, 0x50, 0, 0, 16, 0, 0, 0, 0, 1, 2, 3}, 100)
	f.Fuzz(func(t *testing.T, said []byte, piece int) {
		l := newLink(&canned{}, &Config{Timing: Timing{}.withDefaults()}, Peer{Role: Replication}, time.Second)
		l.conn = &pieces{canned: canned{in: bytes.NewReader(said)}, size: max(1, piece%1000)}
		rest := said
		s := newSession()
		s.frame = func(kind byte, body []byte, _ *mem.Buf) error {
			for rest[4] < FirstType { // the link's own
				rest = rest[frameHeader+binary.BigEndian.Uint32(rest):]
			}
			if want := encoded(kind, string(body)); !bytes.HasPrefix(rest, want) {
				t.Fatalf("a frame of type %d and %d bytes was not sent", kind, len(body))
			}
			rest = rest[frameHeader+len(body):]
			return nil
		}
		err := l.read(s)
		var bye *GoodbyeError
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge) && !errors.As(err, &bye) {
			t.Errorf("the link ended with %v", err)
		}
	})
}

// pieces gives out what was said a few bytes at a time.
type pieces struct {
	canned
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.canned.Read(b[:min(len(b), p.size)]) }
