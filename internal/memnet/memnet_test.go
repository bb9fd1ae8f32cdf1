package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// dialed returns both ends of a connection from "client" to "server:9092".
func dialed(t *testing.T, n *Network) (client, server net.Conn) {
	t.Helper()
	l, err := n.Listen("server:9092")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err = n.Dial(t.Context(), "client", "server:9092")
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestBytesArriveInOrderThenEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := dialed(t, New())
		sent := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // more than is buffered
		go func() {
			if _, err := client.Write(sent); err != nil {
				t.Error(err)
			}
			_ = client.(*Conn).CloseWrite()
		}()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes arrived of %d, %v", len(got), len(sent), err)
		}
		if _, err := server.Write([]byte("back")); err != nil {
			t.Fatalf("after the client's half-close: %v", err)
		}
		_ = server.Close()
		if got, err := io.ReadAll(client); string(got) != "back" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestWriteBlocksWhenNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(10)
		if n, err := a.Write(make([]byte, 10)); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write([]byte("more"))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d, %v; want a timeout", n, err)
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is no timeout to net.Error", err)
		}
		_ = a.SetWriteDeadline(time.Time{})
		go func() { _, _ = io.CopyN(io.Discard, b, 14) }()
		if n, err := a.Write([]byte("more")); n != 4 || err != nil {
			t.Errorf("got %d, %v after the peer read", n, err)
		}
	})
}

func TestReadDeadlineReachesAWaitingReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(10)
		failed := make(chan error, 1)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		_ = a.SetReadDeadline(time.Now().Add(time.Hour))
		_ = a.SetReadDeadline(time.Now())
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a timeout", err)
		}
		_ = a.SetReadDeadline(time.Now().Add(time.Minute)) // a new one makes it usable again
		_, _ = b.Write([]byte("x"))
		if n, err := a.Read(make([]byte, 5)); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestCloseIsSeenByBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := dialed(t, New())
		own := make(chan error, 1)
		go func() {
			_, err := client.Read(make([]byte, 1))
			own <- err
		}()
		synctest.Wait()
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-own; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the closer's own reader got %v", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the closer's write got %v", err)
		}
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the peer read %v, want EOF", err)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("the peer's write succeeded")
		}
		if err := client.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	})
}

func TestPartitionAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		client, server := dialed(t, n)
		_, _ = client.Write([]byte("under way"))
		n.Partition("server", "client")
		for _, c := range []net.Conn{client, server} {
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("a read across the partition: %v", err)
			}
			if _, err := c.Write([]byte("x")); err == nil {
				t.Error("a write across the partition succeeded")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Dial(ctx, "client", "server:9092"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialing across the partition: %v", err)
		}
		if c, err := n.Dial(t.Context(), "other", "server:9092"); err != nil {
			t.Errorf("a third host: %v", err)
		} else {
			_ = c.Close()
		}
		n.Heal("client", "server")
		c, err := n.Dial(t.Context(), "client", "server:9092")
		if err != nil {
			t.Fatalf("after Heal: %v", err)
		}
		_ = c.Close()
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		client, server := dialed(t, n)
		n.SetDelay(time.Second)
		sent := time.Now()
		_, _ = client.Write([]byte("slow"))
		n.SetDelay(0)
		_, _ = client.Write([]byte("fast")) // must not overtake
		got := make([]byte, 8)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "slowfast" {
			t.Fatalf("got %q, %v", got, err)
		}
		if took := time.Since(sent); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		if _, err := n.Dial(t.Context(), "client", "server:9092"); err == nil {
			t.Error("dialed nobody")
		}
		l, err := n.Listen("server:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen(l.Addr().String()); err == nil {
			t.Error("an address was taken twice")
		}
		waiting, err := n.Dialer("client")(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if waiting.RemoteAddr().String() != l.Addr().String() {
			t.Errorf("remote address %v, want %v", waiting.RemoteAddr(), l.Addr())
		}
		_ = l.Close()
		if _, err := waiting.Read(make([]byte, 1)); err == nil {
			t.Error("a connection that nobody accepted stays open")
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if l, err = n.Listen(l.Addr().String()); err != nil {
			t.Fatalf("the address is not free after Close: %v", err)
		}
		_ = l.Close()
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	a, b := Pipe(1000)
	const total = 200_000
	done := make(chan error, 2)
	go func() {
		buf := make([]byte, 333)
		for sent := 0; sent < total; sent += len(buf) {
			if _, err := a.Write(buf); err != nil {
				done <- err
				return
			}
		}
		done <- a.Close()
	}()
	go func() {
		_, err := io.Copy(io.Discard, b)
		done <- err
	}()
	for range 500 {
		_ = a.SetDeadline(time.Now().Add(time.Hour))
		_ = b.SetDeadline(time.Time{})
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
