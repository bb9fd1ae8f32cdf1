package durability

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
	"chronik/test/process"
)

var kills = flag.Int("kills", 5, "how often TestKillNineLosesNothing kills the server")

// TestKillNineLosesNothing kills a real server under two producers, again and again. What acks=1 and acks=-1
// acknowledged must be there, at the offset that was acknowledged, with the same bytes; what the idempotent
// producer sent exactly once and in order (D2, T1).
func TestKillNineLosesNothing(t *testing.T) {
	b := process.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(*kills)*20*time.Second)
	defer cancel()
	admin := client(t, b.KafkaAddr)
	createTopic(t, admin, "idempotent", 3)
	createTopic(t, admin, "plain", 3)

	idempotent, plain := ledger.New("idempotent", nil), ledger.New("plain", nil)
	producing, stop := context.WithCancel(ctx)
	defer stop()
	clients := []*kgo.Client{
		client(t, b.KafkaAddr, kgo.RequiredAcks(kgo.AllISRAcks())),
		client(t, b.KafkaAddr, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()),
	}
	var wg sync.WaitGroup
	wg.Go(func() { idempotent.Produce(producing, clients[0], 500) })
	wg.Go(func() { plain.Produce(producing, clients[1], 500) })

	for range *kills {
		if err := idempotent.Await(ctx, 100+rand.IntN(2000)); err != nil {
			t.Fatal(err)
		}
		if err := plain.Await(ctx, 1+rand.IntN(200)); err != nil {
			t.Fatal(err)
		}
		b.Kill()
		b.Restart()
	}
	if err := idempotent.Await(ctx, 100); err != nil {
		t.Fatal(err)
	}
	stop()
	wg.Wait()
	for _, cl := range clients {
		if err := cl.Flush(ctx); err != nil {
			t.Fatalf("flushing: %v", err)
		}
	}
	audit(t, b.KafkaAddr, idempotent, ledger.Rule{ExactlyOnce: true})
	audit(t, b.KafkaAddr, plain, ledger.Rule{})
}
