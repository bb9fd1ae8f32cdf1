package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestProduceTimeout: a disk that hangs does not hang the producer for longer than its timeout, with acks=-1; what it sent is in the
// log all the same. acks=1 waits for the disk. Partitions that were done in time say so.
func TestProduceTimeout(t *testing.T) {
	for _, tc := range []struct {
		name       string
		acks       int16
		partitions int32
		timeoutMs  int32
		least      time.Duration
		want       *kerr.Error // of partition 0, whose disk hangs
	}{
		{"acks=-1", -1, 2, 2000, 2 * time.Second, kerr.RequestTimedOut},
		{"acks=-1, alone on its connection", -1, 1, 2000, 2 * time.Second, kerr.RequestTimedOut},
		{"no time at all, alone", -1, 1, 0, 500 * time.Millisecond, kerr.RequestTimedOut},
		{"no time at all", -1, 2, -1, 500 * time.Millisecond, kerr.RequestTimedOut},
		{"acks=1", 1, 2, 2000, 10 * time.Second, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := faultfs.New(crashfs.New(1))
				c := nodetest.Start(t, nodetest.Options{FS: fs}).Client()
				createTopic(t, c, "t", 2)
				for n := range int32(2) {
					produce(t, c, "t", n, batchOf(t, record.Options{}, time.Now().UnixMilli()))
				}
				fs.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Before: func(faultfs.Call) { time.Sleep(10 * time.Second) },
					Match: func(c faultfs.Call) bool { return strings.Contains(c.Name, "t-0/segment_") }})
				var parts []part
				for n := range tc.partitions {
					parts = append(parts, part{topic: "t", partition: n, records: batchOf(t, record.Options{}, time.Now().UnixMilli())})
				}
				req := produceRequest(tc.acks, parts...)
				req.TimeoutMillis = tc.timeoutMs
				start := time.Now()
				resp := do[*kmsg.ProduceResponse](c, 12, req)
				if took := time.Since(start); took < tc.least || took > tc.least+300*time.Millisecond {
					t.Errorf("answered after %v, want %v", took, tc.least)
				}
				for n, p := range resp.Topics[0].Partitions {
					want, base := tc.want, int64(-1)
					if n > 0 {
						want = nil
					}
					if want == nil {
						base = 1
					}
					wantCode(t, "produce", p.ErrorCode, want)
					if p.BaseOffset != base || p.Partition != int32(n) {
						t.Errorf("partition %d is answered at %d, want %d at %d", p.Partition, p.BaseOffset, n, base)
					}
				}
				if tc.want != nil {
					time.Sleep(10 * time.Second)
				}
				if next := produce(t, c, "t", 0, batchOf(t, record.Options{}, time.Now().UnixMilli())); next != 2 {
					t.Errorf("the next batch stands at %d, want 2: behind the one that took too long", next)
				}
			})
		})
	}
}
