package node_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node"
	"chronik/internal/node/nodetest"
	"chronik/internal/quorum"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// dirs is what DescribeLogDirs says: the partitions of each directory, or its error.
func dirs(c *nodetest.Client) map[string]string {
	out := make(map[string]string)
	for _, d := range nodetest.Do[*kmsg.DescribeLogDirsResponse](c, 4, kmsg.NewPtrDescribeLogDirsRequest()).Dirs {
		var parts []string
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, string(rune('0'+p.Partition)))
			}
		}
		if d.ErrorCode != 0 {
			parts = append(parts, kerr.ErrorForCode(d.ErrorCode).Error())
		}
		out[d.Dir] = strings.Join(slices.Sorted(slices.Values(parts)), " ")
	}
	return out
}

// write produces one record to a partition and returns its offset, or the error.
func write(t *testing.T, c *nodetest.Client, partition int32) (int64, error) {
	t.Helper()
	b := record.NewBuilder(record.Options{})
	b.Add(time.Now().UnixMilli(), nil, []byte("v"))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 10_000, append(req.Topics, topic)
	got := nodetest.Do[*kmsg.ProduceResponse](c, 9, req).Topics[0].Partitions[0]
	return got.BaseOffset, kerr.ErrorForCode(got.ErrorCode)
}

func createFour(t *testing.T, c *nodetest.Client) {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 4, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	if code := nodetest.Do[*kmsg.CreateTopicsResponse](c, 5, req).Topics[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
}

// TestSeveralDirectories: partitions are spread, one directory fails and takes only its own away, and is back after a restart.
func TestSeveralDirectories(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	b := nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"})
	c := b.Client()
	createFour(t, c)
	for n := range int32(4) {
		if at, err := write(t, c, n); at != 0 || err != nil {
			t.Fatalf("partition %d: %d, %v", n, at, err)
		}
	}
	if got := dirs(c); got["/a"] != "0 2" || got["/b"] != "1 3" {
		t.Errorf("partitions: %v", got)
	}
	if line := b.StartLine(); !strings.Contains(line, "/a and /b") {
		t.Errorf("the start line does not name the directories: %s", line)
	}
	rule := fs.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: func(c faultfs.Call) bool { return strings.HasPrefix(c.Name, "/b/") }, Err: syscall.EIO})
	for n, want := range []error{nil, kerr.KafkaStorageError, nil, kerr.KafkaStorageError} {
		if _, err := write(t, c, int32(n)); err != want {
			t.Errorf("partition %d: %v, want %v", n, err, want)
		}
	}
	if got := dirs(c); got["/a"] != "0 2" || got["/b"] != kerr.KafkaStorageError.Error() {
		t.Errorf("after one failed: %v", got)
	}
	if b.Err() != nil {
		t.Errorf("the node has failed: %v", b.Err())
	}
	rule.Stop()
	b = b.Restart()
	c = b.Client()
	for n, want := range []int64{2, 1, 2, 1} {
		if at, err := write(t, c, int32(n)); at < want || err != nil {
			t.Errorf("after a restart partition %d: %d, %v", n, at, err)
		}
	}
	if got := dirs(c); got["/a"] != "0 2" || got["/b"] != "1 3" {
		t.Errorf("after a restart: %v", got)
	}
}

// TestADirectoryThatCannotBeUsed: the node starts without one of several, and says which; its partitions are offline, others can be made.
func TestADirectoryThatCannotBeUsed(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	b := nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"})
	c := b.Client()
	createFour(t, c)
	for n := range int32(4) {
		if _, err := write(t, c, n); err != nil {
			t.Fatal(err)
		}
	}
	b.Stop()
	rule := fs.Inject(faultfs.Rule{Match: func(c faultfs.Call) bool { return strings.HasPrefix(c.Name, "/b/") }, Err: syscall.EIO, Ops: faultfs.OpAny &^ faultfs.OpClose})
	b = nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"})
	c = b.Client()
	for n, want := range []error{nil, kerr.KafkaStorageError, nil, kerr.KafkaStorageError} {
		if _, err := write(t, c, int32(n)); err != want {
			t.Errorf("partition %d: %v, want %v", n, err, want)
		}
	}
	if got := dirs(c); got["/b"] != kerr.KafkaStorageError.Error() {
		t.Errorf("directories: %v", got)
	}
	rule.Stop()
	c = b.Restart().Client()
	for n := range int32(4) {
		if at, err := write(t, c, n); at < 1 || err != nil {
			t.Errorf("with both again, partition %d: %d, %v", n, at, err)
		}
	}
}

// TestADirectoryOfAnotherNode is refused: it is a mistake, and not a failure.
func TestADirectoryOfAnotherNode(t *testing.T) {
	fs := crashfs.New(1)
	nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"}).Stop()
	nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/c,/d", NodeID: "7"}).Stop()
	nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/e"}).Stop()
	b := nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"})
	b.Stop()
	for dirs, says := range map[string]string{"/a,/d": quorum.ErrOtherNode.Error(), "/a,/e": "belongs to cluster"} {
		if _, err := node.New(t.Context(), nodetest.Settings(t, nodetest.Options{Dirs: dirs}), b.Env()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", dirs, err, says)
		}
	}
}

// TestADirectoryThatIsGone: its partitions are not begun anew, empty: they are offline until it is back, or somebody accepts the loss.
func TestADirectoryThatIsGone(t *testing.T) {
	fs := crashfs.New(1)
	b := nodetest.Start(t, nodetest.Options{FS: fs, Dirs: "/a,/b"})
	c := b.Client()
	createFour(t, c)
	for n := range int32(4) {
		if _, err := write(t, c, n); err != nil {
			t.Fatal(err)
		}
	}
	b.Stop()
	if err := fs.Rename("/b", "/unmounted"); err != nil {
		t.Fatal(err)
	}
	want := func(what, dirs string, offsets ...int64) {
		t.Helper()
		b := nodetest.Start(t, nodetest.Options{FS: fs, Dirs: dirs})
		defer b.Stop()
		c := b.Client()
		for n, offset := range offsets {
			at, err := write(t, c, int32(n))
			if offset < 0 && err != kerr.KafkaStorageError || offset >= 0 && (err != nil || at != offset) {
				t.Errorf("%s: partition %d: %d, %v, want %d", what, n, at, err, offset)
			}
		}
	}
	want("an empty one in its place", "/a,/b", 1, -1, 1, -1)
	want("without it", "/a", 2, -1, 2, -1)
	if err := fs.RemoveAll("/b"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("/unmounted", "/b"); err != nil {
		t.Fatal(err)
	}
	want("it is back", "/a,/b", 3, 1, 3, 1)
	if err := fs.RemoveAll("/b"); err != nil {
		t.Fatal(err)
	}
	if err := fs.RemoveAll("/a/wal/data_dirs"); err != nil {
		t.Fatal(err)
	}
	want("the loss is accepted", "/a,/b", 4, 0, 4, 0)
}
