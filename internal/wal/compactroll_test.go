package wal

import (
	"testing"

	"chronik/internal/record"
	"chronik/internal/wal/compact"
)

// TestMostUncleaned: a log with a bound on what is uncleaned rolls by it, whatever its segment size, and is due then: so there is never
// more to read than what is clean, as much again or the bound, and two batches.
func TestMostUncleaned(t *testing.T) {
	const bound = 20_000
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes, e.cfg.ProducerExpiryMs = 64<<20, 0
	e.cfg.Compaction = &compact.Policy{MinRatio: 1, MostUncleaned: bound}
	k := &keyed{t: t}
	k.log, _ = e.open()
	defer k.log.Abandon(nil)
	rounds := 0
	for i := range 1000 {
		keys := 1 + i/15 // what is clean grows beyond the bound
		o := record.NewBuilder(record.Options{})
		o.Add(1_600_000_000_000+int64(i), []byte{byte(i * 7 % keys)}, make([]byte, 900))
		b, err := o.Build()
		if err != nil {
			t.Fatal(err)
		}
		must(t, k.log, b)
		clean, dirty := k.log.core.cleanBytes()
		if unclean := dirty + k.log.core.plan.pos - headerBytes; unclean > max(bound, clean)+2*int64(len(b)) {
			t.Fatalf("after %d batches %d bytes are not clean beside %d that are", i, unclean, clean)
		}
		w := k.log.CompactionWork(k.log.End())
		if w.Due != w.Outgrown || w.Due != (dirty > 0) {
			t.Fatalf("after %d batches: %+v, %d bytes are sealed and not clean", i, w, dirty)
		}
		if !w.Due {
			continue
		}
		if out, err := k.compact(); err != nil || out.Into == 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		rounds++
	}
	if rounds < 15 || rounds > 50 {
		t.Errorf("%d rounds", rounds)
	}
}

// TestMostUncleanedStuck: what cannot be cleaned, because a transaction stays open, does not make a segment of every batch.
func TestMostUncleanedStuck(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 64 << 20
	e.cfg.Compaction = &compact.Policy{MostUncleaned: 20_000}
	l, _ := e.open()
	defer l.Abandon(nil)
	for i := range 300 {
		must(t, l, batch(1, 900, 1_600_000_000_000+int64(i), nil))
	}
	if n, most := len(l.core.segs), int(300*1000/(20_000/4)); n < 10 || n > most {
		t.Errorf("%d segments, want 10 to %d", n, most)
	}
}
