package node_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node"
	"chronik/internal/node/nodetest"
	"chronik/internal/quorum"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestStartsAndStops: twice over the same directory, and nothing of it goes on running.
func TestStartsAndStops(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	create(t, c, "t")
	if line := b.StartLine(); !strings.Contains(line, "10.0.0.1:9092") || !strings.Contains(line, "/data") || !strings.Contains(line, "synced before it is acknowledged") {
		t.Errorf("the start line does not say what listens where and how durable it is: %s", line)
	}
	b = b.Restart()
	if b.Err() != nil {
		t.Errorf("a node that runs has the error %v", b.Err())
	}
	b.Stop()
	wantNoGoroutines(t)
}

// wantNoGoroutines fails the test if code of this module still runs elsewhere. Goroutines that were told to end may take
// a moment.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	buf := make([]byte, 1<<20)
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		left = nil
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "chronik/internal") && !strings.Contains(stack, "testing.tRunner") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// TestRefusesToStart: each refusal says what to do, and leaves nothing behind that would be in the way of a second attempt.
func TestRefusesToStart(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(b *nodetest.Broker)
		change  func(o *nodetest.Options)
		running bool // another node is running in the directory
		says    []string
		is      error
	}{
		{name: "the directory is in use", running: true, says: []string{"/data is in use", "--data-dir"}},
		{name: "another node's directory", change: func(o *nodetest.Options) { o.NodeID = "7" }, is: quorum.ErrOtherNode, says: []string{"7", "1"}},
		{name: "the Kafka port is taken", prepare: func(b *nodetest.Broker) { take(t, b, "10.0.0.1:9092") }, says: []string{"9092", "--kafka-port"}},
		{name: "the HTTP port is taken", prepare: func(b *nodetest.Broker) { take(t, b, "10.0.0.1:6092") }, says: []string{"6092", "--http-port"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := nodetest.Options{FS: crashfs.New(1)}
			b := nodetest.Start(t, o)
			if !tc.running {
				b.Stop()
			}
			if tc.prepare != nil {
				tc.prepare(b)
			}
			second := o
			if tc.change != nil {
				tc.change(&second)
			}
			n, err := node.New(t.Context(), nodetest.Settings(t, second), b.Env())
			if err == nil {
				_ = n.Stop(context.Background())
				t.Fatal("it started")
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			for _, want := range tc.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			b.Stop()
			wantNoGoroutines(t)
			nodetest.Start(t, o).Stop()
		})
	}
}

// take makes somebody else listen at an address.
func take(t *testing.T, b *nodetest.Broker, address string) {
	t.Helper()
	l, err := b.Net.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

// TestADirectoryThatCannotBeMade: the message names the flag.
func TestADirectoryThatCannotBeMade(t *testing.T) {
	disk := faultfs.New(crashfs.New(1))
	disk.Inject(faultfs.Rule{Ops: faultfs.OpMkdir, Err: fs.ErrPermission})
	b := nodetest.Start(t, nodetest.Options{})
	env := b.Env()
	env.FS = disk
	_, err := node.New(t.Context(), nodetest.Settings(t, nodetest.Options{}), env)
	if err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("got %v, want an error that names --data-dir", err)
	}
}

// TestD3MetadataLogFails: a failed sync of the metadata log ends the node; the client is not told that it worked.
func TestD3MetadataLogFails(t *testing.T) {
	disk := faultfs.New(crashfs.New(1))
	b := nodetest.Start(t, nodetest.Options{FS: disk})
	c := b.Client()
	create(t, c, "before")
	disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Err: syscall.EIO,
		Match: func(c faultfs.Call) bool { return strings.Contains(c.Name, "__meta") }})
	if code := tryCreate(c, "after"); code != kerr.KafkaStorageError.Code {
		t.Errorf("creating a topic answers code %d, want KAFKA_STORAGE_ERROR", code)
	}
	select {
	case <-b.Failed():
	case <-time.After(20 * time.Second):
		t.Fatal("the node goes on")
	}
	if err := b.Err(); err == nil || !strings.Contains(err.Error(), "see to the disk") {
		t.Errorf("the node ended with %v, want what to do", err)
	}
	if err := b.End(); err == nil {
		t.Error("Stop claims that everything was saved")
	}
	wantNoGoroutines(t)
	after := nodetest.Start(t, nodetest.Options{FS: disk})
	if code := tryCreate(after.Client(), "before"); code != kerr.TopicAlreadyExists.Code {
		t.Errorf("after a restart creating the topic of before is answered %d, want TOPIC_ALREADY_EXISTS", code)
	}
}

// TestD2PowerCut: topics, values and records that were acknowledged are there after the power was cut.
func TestD2PowerCut(t *testing.T) {
	disk := crashfs.New(3)
	b := nodetest.Start(t, nodetest.Options{FS: disk})
	c := b.Client()
	create(t, c, "t")
	alter(t, c, kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes", "100000")
	for i := range int64(5) {
		if code, at := produce(t, c, "t", 10); code != 0 || at != i {
			t.Fatalf("record %d: code %d, offset %d", i, code, at)
		}
	}
	for _, mode := range []crashfs.Mode{crashfs.Lose, crashfs.Random, crashfs.Keep} {
		after := nodetest.Start(t, nodetest.Options{FS: disk.CrashClone(mode)})
		c := after.Client()
		if code, at := produce(t, c, "t", 10); code != 0 || at != 5 {
			t.Errorf("mode %d: the next record stands at %d (code %d), want 5", mode, at, code)
		}
		if code, _ := produce(t, c, "t", 150_000); code != kerr.MessageTooLarge.Code {
			t.Errorf("mode %d: a large record is answered %d: the topic's limit is lost", mode, code)
		}
		after.Stop()
	}
}

// TestHTTP: health, readiness and metrics answer while the node runs.
func TestHTTP(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	create(t, b.Client(), "t")
	client := http.Client{Transport: &http.Transport{DialContext: b.Net.Dialer("10.0.0.9"), DisableKeepAlives: true}}
	for _, p := range []string{"/healthz", "/readyz", "/metrics"} {
		resp, err := client.Get(fmt.Sprintf("http://%s%s", b.HTTPAddr(), p))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", p, resp.Status)
		}
	}
}
