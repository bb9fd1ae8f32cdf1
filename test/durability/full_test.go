package durability

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/record"
	"chronik/test/ledger"
	"chronik/test/process"
)

// TestFullDisk fills a real file system: produce is refused with a clear error, reads go on, a restart
// works, deleting records frees space, and then writes work again (E3).
func TestFullDisk(t *testing.T) {
	b := process.Start(t, process.DataDir(filepath.Join(smallDisk(t, 96), "data")))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cl := client(t, b.KafkaAddr)
	segment := "4194304"
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, map[string]*string{"segment.bytes": &segment}, "full"); err != nil {
		t.Fatal(err)
	}

	details, err := kadm.NewClient(cl).ListTopics(ctx, "full")
	if err != nil || details.Error() != nil {
		t.Fatalf("listing the topic: %v %v", err, details.Error())
	}
	topic := details["full"]

	var stored [][]byte
	fill := func() int16 {
		for n := range 4096 {
			value := bytes.Repeat([]byte{byte(len(stored)), byte(n)}, 64<<10)
			if code := produceOne(ctx, t, cl, topic, value); code != 0 {
				return code
			}
			stored = append(stored, value)
		}
		return 0
	}
	if code := fill(); code != kerr.KafkaStorageError.Code {
		t.Fatalf("filling the disk ended with %v, want KAFKA_STORAGE_ERROR", kerr.ErrorForCode(code))
	}
	if len(stored) < 100 {
		t.Fatalf("only %d batches fit: the disk was full before the test began", len(stored))
	}
	verify := func(when string, from int) {
		found := readAll(t, b.KafkaAddr, "full")
		for i := from; i < len(stored); i++ {
			if !bytes.Equal(found.Records[ledger.Place{Partition: 0, Offset: int64(i)}], stored[i]) {
				t.Fatalf("%s: record %d is not what was acknowledged", when, i)
			}
		}
	}
	verify("while full", 0)

	b.Kill()
	b.Restart()
	cl = client(t, b.KafkaAddr) // the old one's connections are gone, and produceOne does not retry
	verify("after a restart while full", 0)

	half := int64(len(stored) / 2)
	deleted, err := kadm.NewClient(cl).DeleteRecords(ctx, kadm.Offsets{"full": {0: {Topic: "full", Partition: 0, At: half}}})
	if err != nil || deleted.Error() != nil {
		t.Fatalf("deleting records: %v %v", err, deleted.Error())
	}
	before := len(stored)
	if code := fill(); code != kerr.KafkaStorageError.Code {
		t.Fatalf("filling the disk again ended with %v, want KAFKA_STORAGE_ERROR", kerr.ErrorForCode(code))
	}
	if len(stored)-before < before/4 {
		t.Fatalf("after half of %d batches was deleted only %d more fit", before, len(stored)-before)
	}
}

// smallDisk mounts a new ext4 file system of some MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root; internal/wal's TestE3 does the same over faultfs")
	}
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err == nil {
		err = f.Truncate(int64(mib) << 20)
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Mkdir(mount, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, mount}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Skipf("this machine cannot mount a loop device (%v: %s); internal/wal's TestE3 does the same over faultfs", err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return mount
}

// produceOne sends one batch of one record, without the client's retries, and returns the error code.
func produceOne(ctx context.Context, t *testing.T, cl *kgo.Client, topic kadm.TopicDetail, value []byte) int16 {
	t.Helper()
	w := record.NewBuilder(record.Options{})
	w.Add(time.Now().UnixMilli(), nil, value)
	batch, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.TopicID, top.Partitions = topic.Topic, topic.ID, append(top.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 10_000, append(req.Topics, top)
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}
