package verify_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/memnet"
	"chronik/internal/node/nodetest"
	"chronik/internal/verify"
	"chronik/internal/verify/history"
	"chronik/internal/vfs/crashfs"
)

// TestForgetfulDisk gives a broker its disk of two seconds ago: what it acknowledged since is lost, and that is found, in the run and in its history.
func TestForgetfulDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(1)
		broker := nodetest.Start(t, nodetest.Options{FS: disk})
		var network atomic.Pointer[memnet.Network]
		network.Store(broker.Net)
		var file bytes.Buffer
		run, err := verify.Start(t.Context(), verify.Options{
			Brokers: []string{nodetest.Host + ":9092"}, Partitions: 1, Rate: 100, Settle: 20 * time.Second, History: &file,
			Producers: []verify.Producer{verify.Idempotent, verify.LeaderOnly},
			Client: []kgo.Opt{kgo.Dialer(func(ctx context.Context, _, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return network.Load().Dial(ctx, "10.0.0.2", address)
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		old := disk.CrashClone(crashfs.Random)
		time.Sleep(2 * time.Second)
		broker.Stop()
		network.Store(nodetest.Start(t, nodetest.Options{FS: old}).Net)
		time.Sleep(3 * time.Second)
		report, err := run.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if report.OK() || report.Count(history.Lost) < 100 || report.Count(history.Rewound) == 0 {
			t.Errorf("two seconds of acknowledged records were lost; the report says:\n%s", report)
		}
		if n := report.Count(history.LostByLeader); n > 0 {
			t.Errorf("%d losses are excused by a change of leaders, and there was none", n)
		}
		again, err := verify.Judge(&file, history.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if again.Count(history.Lost) != report.Count(history.Lost) || again.Counts != report.Counts {
			t.Errorf("the history of the run says something else:\n%s\nthan the run:\n%s", again, report)
		}
	})
}
