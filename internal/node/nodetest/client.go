package nodetest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long a client waits for a reply before it fails the test: far longer than any takes.
const patience = 20 * time.Second

// Client is one connection that speaks raw requests, each in the version that the caller set.
type Client struct {
	net.Conn
	t    testing.TB
	next int32
	sent []kmsg.Request // not answered yet, in order
}

// Client connects. The connection ends with the test.
func (b *Broker) Client() *Client {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	nc, err := b.Net.Dial(ctx, "10.0.0.2", net.JoinHostPort(Host, strconv.Itoa(KafkaPort)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = nc.Close() })
	return &Client{Conn: nc, t: b.t}
}

// Send writes a request and does not wait for its reply.
func (c *Client) Send(req kmsg.Request) {
	c.t.Helper()
	if p, ok := req.(*kmsg.ProduceRequest); !ok || p.Acks != 0 {
		c.sent = append(c.sent, req)
	}
	c.next++
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.next)); err != nil {
		c.t.Fatalf("sending %s: %v", kmsg.NameForKey(req.Key()), err)
	}
}

// Receive reads the reply to the oldest request that has none yet.
func (c *Client) Receive() kmsg.Response {
	c.t.Helper()
	req := c.sent[0]
	c.sent = c.sent[1:]
	body, err := c.read()
	if err != nil {
		c.t.Fatalf("no reply to %s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	body = body[4:] // correlation ID
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		body = body[1:] // no tagged fields in the header
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("the reply to %s v%d cannot be read: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

func (c *Client) read() ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, body)
	return body, err
}

// ExpectEnd fails the test unless the broker closes the connection without another reply.
func (c *Client) ExpectEnd() {
	c.t.Helper()
	body, err := c.read()
	if err == nil {
		c.t.Fatalf("got a reply of %d bytes, want the end of the connection", len(body))
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		c.t.Fatal("the connection stays open, want its end")
	}
}

// Do sends a request in the version that it has and returns the reply.
func Do[Resp kmsg.Response](c *Client, version int16, req kmsg.Request) Resp {
	c.t.Helper()
	req.SetVersion(version)
	c.Send(req)
	return c.Receive().(Resp)
}
