package api_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/config"
	"chronik/internal/node"
	"chronik/internal/record"
	"chronik/internal/vfs"
)

// tcpBroker is a node over real files and real sockets, where records go by sendfile.
type tcpBroker struct {
	t    testing.TB
	dir  string
	node *node.Node
	addr string
}

func startTCP(t testing.TB, dir string) *tcpBroker {
	t.Helper()
	settings, err := config.Load(config.Inputs{Flags: map[string]string{"bind-addr": "127.0.0.1", "data-dir": dir}})
	if err != nil {
		t.Fatal(err)
	}
	b := &tcpBroker{t: t, dir: dir}
	b.node, err = node.New(t.Context(), settings, node.Env{
		FS: vfs.OS(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Listen: func(_, address string) (net.Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0") // any free port, whatever the settings say
			if _, port, _ := net.SplitHostPort(address); err == nil && port == "9092" {
				b.addr = l.Addr().String()
			}
			return l, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tcpBroker) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.node.Stop(ctx); err != nil {
		b.t.Errorf("the node does not stop in order: %v", err)
	}
}

// tcpClient speaks raw requests.
type tcpClient struct {
	net.Conn
	t testing.TB
}

func (b *tcpBroker) client() *tcpClient {
	b.t.Helper()
	nc, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	return &tcpClient{Conn: nc, t: b.t}
}

func (c *tcpClient) send(version int16, req kmsg.Request) {
	c.t.Helper()
	req.SetVersion(version)
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *tcpClient) receive(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	body = body[4:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func (c *tcpClient) fetch(p fetchPart) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	req := fetchRequest(p)
	c.send(12, req)
	return c.receive(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

// create makes a topic of one partition.
func (c *tcpClient) create(name string, configs ...string) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	for i := 0; i < len(configs); i += 2 {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = configs[i], &configs[i+1]
		topic.Configs = append(topic.Configs, cfg)
	}
	req.Topics = append(req.Topics, topic)
	c.send(7, req)
	wantCode(c.t, "creating "+name, c.receive(req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode, nil)
}

// store appends one record of n bytes, and returns the batch as it is stored.
func (c *tcpClient) store(topic string, n int) []byte {
	c.t.Helper()
	w := record.NewBuilder(record.Options{})
	value := make([]byte, n)
	for i := range value {
		value[i] = byte((i + n) * (i + n) >> 3)
	}
	w.Add(testTime, nil, value)
	batch, err := w.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	req := produceRequest(-1, part{topic: topic, records: batch})
	c.send(12, req)
	p := produced(c.receive(req).(*kmsg.ProduceResponse))
	wantCode(c.t, "producing", p.ErrorCode, nil)
	binary.BigEndian.PutUint64(batch, uint64(p.BaseOffset))
	binary.BigEndian.PutUint32(batch[12:], 0) // the leader epoch
	return batch
}

// segments are the segment files of a topic's only partition; none before its first record.
func (b *tcpBroker) segments(topic string) []string {
	b.t.Helper()
	var found []string
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".wal" && strings.Contains(filepath.Base(filepath.Dir(path)), topic) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// TestFetchOverTCP: over real sockets and files, ranges of all sizes are the bytes that were stored, warm and after a restart.
func TestFetchOverTCP(t *testing.T) {
	b := startTCP(t, t.TempDir())
	c := b.client()
	c.create("sizes")
	var batches [][]byte
	var total int
	for _, n := range []int{1, 100, 4000, 15_000, 16_384, 20_000, 1, 65_000, 131_072, 700_000, 3, 300_000, 1_000_000, 50, 60, 70, 900_000, 900_000} {
		batches = append(batches, c.store("sizes", n))
		total += len(batches[len(batches)-1])
	}
	check := func(c *tcpClient) {
		t.Helper()
		for from := range batches {
			for _, room := range []int{1, 20_000, 200_000, 1_100_000, total} {
				want := append([]byte(nil), batches[from]...)
				for _, next := range batches[from+1:] {
					if len(want)+len(next) > room {
						break
					}
					want = append(want, next...)
				}
				got := c.fetch(fetchPart{topic: "sizes", offset: int64(from), maxBytes: int32(room)})
				wantCode(t, "fetch", got.ErrorCode, nil)
				if !bytes.Equal(got.RecordBatches, want) {
					t.Errorf("from %d with room for %d: got %d bytes that are not the %d stored", from, room, len(got.RecordBatches), len(want))
				}
			}
		}
	}
	check(c)
	b.stop()
	b = startTCP(t, b.dir)
	check(b.client())
	b.stop()
}

// TestFetchOverTCPOfDamage: a bit that flips below the mark is reported and its batch never served (L2), also where
// records are sent without being read.
func TestFetchOverTCPOfDamage(t *testing.T) {
	b := startTCP(t, t.TempDir())
	c := b.client()
	c.create("rot")
	first, second := c.store("rot", 200_000), c.store("rot", 300_000)
	third := c.store("rot", 100_000)
	b.stop()
	name := b.segments("rot")[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, second[100:200_000])
	if at < 0 {
		t.Fatal("the second batch is not in the segment")
	}
	data[at+1234] ^= 4
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b = startTCP(t, b.dir)
	c = b.client()
	for range 2 {
		got := c.fetch(fetchPart{topic: "rot", maxBytes: 10 << 20})
		wantCode(t, "before the damage", got.ErrorCode, nil)
		if !bytes.Equal(got.RecordBatches, first) {
			t.Errorf("got %d bytes, want the %d before the damage", len(got.RecordBatches), len(first))
		}
		got = c.fetch(fetchPart{topic: "rot", offset: 1, maxBytes: 10 << 20})
		wantCode(t, "the damage", got.ErrorCode, kerr.CorruptMessage)
		if len(got.RecordBatches) != 0 {
			t.Errorf("%d bytes of damage were served", len(got.RecordBatches))
		}
		got = c.fetch(fetchPart{topic: "rot", offset: 2, maxBytes: 10 << 20})
		wantCode(t, "behind the damage", got.ErrorCode, nil)
		if !bytes.Equal(got.RecordBatches, third) {
			t.Errorf("got %d bytes, want the %d behind the damage", len(got.RecordBatches), len(third))
		}
	}
	b.stop()
}

// TestFetchOverTCPOfWhatIsDeleted: a segment that is deleted while a client is still taking it arrives whole.
func TestFetchOverTCPOfWhatIsDeleted(t *testing.T) {
	b := startTCP(t, t.TempDir())
	c := b.client()
	c.create("old", "segment.bytes", "33554432")
	var want []byte
	var end int64
	for len(b.segments("old")) < 2 {
		batch := c.store("old", 1_000_000)
		if len(b.segments("old")) < 2 {
			want = append(want, batch...)
		}
		end++
	}
	req := fetchRequest(fetchPart{topic: "old", maxBytes: 50 << 20})
	c.send(12, req)
	var size [1]byte
	if _, err := io.ReadFull(c, size[:]); err != nil { // it is being sent; what follows is more than sockets hold
		t.Fatal(err)
	}
	other := b.client()
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.TimeoutMillis = 10_000
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = "old"
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = end
	topic.Partitions = append(topic.Partitions, p)
	del.Topics = append(del.Topics, topic)
	first := b.segments("old")[0]
	other.send(2, del)
	wantCode(t, "deleting", other.receive(del).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode, nil)
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Fatalf("the segment is still there: %v", err)
	}
	rest := &tcpClient{Conn: prefixed{c.Conn, &size}, t: t}
	got := rest.receive(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if !bytes.Equal(got.RecordBatches, want) {
		t.Errorf("got %d bytes that are not the %d stored", len(got.RecordBatches), len(want))
	}
	b.stop()
}

// prefixed is a connection of which one byte was read already.
type prefixed struct {
	net.Conn
	first *[1]byte
}

func (p prefixed) Read(b []byte) (int, error) {
	if *p.first != [1]byte{0xff} { // no reply is so long that its size begins so
		b[0], *p.first = p.first[0], [1]byte{0xff}
		return 1, nil
	}
	return p.Conn.Read(b)
}
