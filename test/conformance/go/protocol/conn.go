package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const answerLimit = 20 * time.Second

// errClosed is what a broker says by closing the connection.
var errClosed = errors.New("connection closed")

// A conn is one raw connection: requests go out as given, at the version given, whatever the broker advertises.
type conn struct {
	net.Conn
	format      *kmsg.RequestFormatter
	correlation int32
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("protocol"))}, nil
}

// send writes one request and returns its correlation ID.
func (c *conn) send(req kmsg.Request) (int32, error) {
	c.correlation++
	return c.correlation, c.raw(c.format.AppendRequest(nil, req, c.correlation))
}

// raw writes bytes as they are.
func (c *conn) raw(b []byte) error {
	if err := c.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// frame reads one answer without its length.
func (c *conn) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, closedOr(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 100<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, closedOr(err)
}

func closedOr(err error) error {
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return errClosed
}

// receive reads the answer to req, which was sent under the correlation ID.
func (c *conn) receive(req kmsg.Request, correlation int32) (kmsg.Response, error) {
	b, err := c.frame()
	if err != nil {
		return nil, err
	}
	return decode(b, req, correlation)
}

// decode understands an answer's frame; what is left over, or missing, is an error.
func decode(b []byte, req kmsg.Request, correlation int32) (kmsg.Response, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("an answer of %d bytes", len(b))
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != correlation {
		return nil, fmt.Errorf("correlation ID %d, want %d", got, correlation)
	}
	resp, b := req.ResponseKind(), b[4:]
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if len(b) == 0 || b[0] != 0 {
			return nil, fmt.Errorf("the answer's header has tags, or no end")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("the answer's body is not of version %d: %w", req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("the answer has %d bytes, its fields %d", len(b), len(again))
	}
	return resp, nil
}

// ask sends req and reads its answer.
func (c *conn) ask(req kmsg.Request) (kmsg.Response, error) {
	id, err := c.send(req)
	if err != nil {
		return nil, closedOr(err)
	}
	return c.receive(req, id)
}
