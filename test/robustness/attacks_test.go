package robustness

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// attack is one attacker's life: one connection after the other until ctx ends. Errors are what it hopes for.
type attack struct {
	name    string
	clients int // how many attack like this at once
	once    func(ctx context.Context, nc *net.TCPConn, rng *rand.Rand)
}

const (
	// What the attackers know of the server's configuration.
	maxRequest   = 8 << 20
	frameTimeout = 30 * time.Second

	trashTopic = "trash" // exists; nobody cares what is in it
)

var attacks = []attack{
	{"random bytes", 2, randomBytes},
	{"meaningless requests", 3, meaninglessRequests},
	{"damaged requests", 3, damagedRequests},
	{"array lengths", 2, arrayLengths},
	{"frame lengths", 2, frameLengths},
	{"announced and not sent", 40, announced},
	{"says nothing", 100, saysNothing},
	{"a byte at a time", 20, slowWriter},
	{"never reads", 4, neverReads},
	{"large and worthless", 2, largeRequests},
	{"resets", 3, resets},
}

// live attacks until ctx ends.
func (a attack) live(ctx context.Context, addr string, rng *rand.Rand) (connections int) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		nc, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			select { // the backlog is full: that is the attackers' own trouble, as long as the good client goes on
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		connections++
		tcp := nc.(*net.TCPConn)
		stop := context.AfterFunc(ctx, func() { _ = tcp.SetDeadline(time.Unix(1, 0)) })
		a.once(ctx, tcp, rng)
		stop()
		_ = tcp.Close()
	}
	return connections
}

func randomBytes(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	_, _ = nc.Write(noise(rng, 1+rng.IntN(4096)))
	awaitEnd(nc, 200*time.Millisecond)
}

// meaninglessRequests: the frame and the header are right, what follows is noise.
func meaninglessRequests(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	for range 20 {
		key, version := int16(rng.IntN(95)), int16(rng.IntN(20))
		body := noise(rng, rng.IntN(1<<rng.IntN(12)))
		if _, err := nc.Write(request(key, version, body)); err != nil {
			return
		}
		if !awaitReply(nc, 100*time.Millisecond) {
			return
		}
	}
}

// damagedRequests: real requests with a few bits turned, cut, or with something in their middle.
func damagedRequests(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	for range 20 {
		body := sensible(rng)
		raw := body.AppendTo(nil)
		damage(rng, &raw)
		if _, err := nc.Write(request(body.Key(), body.GetVersion(), raw)); err != nil {
			return
		}
		if !awaitReply(nc, 100*time.Millisecond) {
			return
		}
	}
}

// arrayLengths: few bytes that claim to be very many elements.
func arrayLengths(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	huge := [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0x00, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x07}, {0xff, 0xff, 0x7f}}
	key := int16(rng.IntN(95))
	var version int16
	if r := kmsg.RequestForKey(key); r != nil {
		version = int16(rng.IntN(int(r.MaxVersion()) + 1))
	}
	var body []byte
	for range 1 + rng.IntN(200) {
		body = append(body, huge[rng.IntN(len(huge))]...)
		body = append(body, make([]byte, rng.IntN(8))...)
	}
	_, _ = nc.Write(request(key, version, body))
	awaitEnd(nc, 200*time.Millisecond)
}

func frameLengths(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	sizes := []uint32{0, 1, 7, maxRequest + 1, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	_, _ = nc.Write(append(binary.BigEndian.AppendUint32(nil, sizes[rng.IntN(len(sizes))]), noise(rng, rng.IntN(64))...))
	awaitEnd(nc, 200*time.Millisecond)
}

// announced: as much as is allowed, of which the beginning comes and the rest does not.
func announced(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	_, _ = nc.Write(append(binary.BigEndian.AppendUint32(nil, maxRequest-uint32(rng.IntN(1<<20))), noise(rng, rng.IntN(1<<(6+rng.IntN(12))))...))
	awaitEnd(nc, frameTimeout+5*time.Second)
}

func saysNothing(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		_ = nc.CloseWrite()
	}
	awaitEnd(nc, time.Duration(rng.IntN(5000))*time.Millisecond)
}

func slowWriter(ctx context.Context, nc *net.TCPConn, rng *rand.Rand) {
	body := sensible(rng)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, b := range request(body.Key(), body.GetVersion(), body.AppendTo(nil)) {
		if _, err := nc.Write([]byte{b}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// neverReads asks for large answers until the network takes no more questions, and stays.
func neverReads(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	_ = nc.SetReadBuffer(4 << 10)
	_ = nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
	meta, fetch := kmsg.NewPtrMetadataRequest(), fetchTrash()
	meta.Version = 12
	for {
		r := kmsg.Request(meta)
		if rng.IntN(2) == 0 {
			r = fetch
		}
		if _, err := nc.Write(request(r.Key(), r.GetVersion(), r.AppendTo(nil))); err != nil {
			return
		}
	}
}

// largeRequests fill the memory that the server has for requests, with nothing of value.
func largeRequests(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	produce := produceTrash(make([]byte, 1<<20+rng.IntN(maxRequest-2<<20)))
	produce.Version = 9
	for range 4 {
		if _, err := nc.Write(request(produce.Key(), produce.Version, produce.AppendTo(nil))); err != nil {
			return
		}
	}
	for range 4 {
		if !awaitReply(nc, 5*time.Second) {
			return
		}
	}
}

func resets(_ context.Context, nc *net.TCPConn, rng *rand.Rand) {
	body := sensible(rng)
	raw := request(body.Key(), body.GetVersion(), body.AppendTo(nil))
	for range 1 + rng.IntN(20) {
		_, _ = nc.Write(raw)
	}
	_, _ = nc.Write(raw[:rng.IntN(len(raw))])
	_ = nc.SetLinger(0) // Close sends a reset
}

// awaitEnd reads until the server closes, at most for d.
func awaitEnd(nc *net.TCPConn, d time.Duration) {
	_ = nc.SetReadDeadline(time.Now().Add(d))
	_, _ = io.Copy(io.Discard, nc)
}

// awaitReply reads one reply, and tells whether the connection is still good: no answer within d is good too.
func awaitReply(nc *net.TCPConn, d time.Duration) bool {
	_ = nc.SetReadDeadline(time.Now().Add(d))
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(size[:])))
	return err == nil
}
