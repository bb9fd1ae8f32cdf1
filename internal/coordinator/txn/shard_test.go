package txn

import (
	"errors"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/record"
)

// TestShard: on a real shard, whose log keeps batches, markers are an effect of what is settled (T3), a producer ID is got without blocking,
// and the next shard sends markers again.
func TestShard(t *testing.T) {
	w := newWorld(t)
	var log []record.Batch
	var effects []shard.Effect
	var end model.Offset
	serve := func() (*shard.Shard, *Machine) {
		m := New(w.config)
		s := shard.New(shard.Options{
			Topic: schema.Transactions, Machine: m, MaxBatchBytes: 1 << 20, Patience: time.Second, Effect: func(e shard.Effect) { effects = append(effects, e) },
		}, end)
		for _, b := range log {
			if err := s.Replay(b); err != nil {
				t.Fatal(err)
			}
		}
		s.Serve(w.now, w.image)
		return s, m
	}
	s, m := serve()
	refuse := func(err error) { t.Fatal(err) }
	write := func() {
		b, ok := s.Take()
		if !ok {
			t.Fatal("nothing is to be appended")
		}
		log, end = append(log, b.Bytes), b.Base+model.Offset(b.Bytes.LastOffsetDelta())+1
		s.Appended(b.Base)
	}
	take := func() shard.Effect {
		if len(effects) != 1 {
			t.Fatalf("%d effects, want one", len(effects))
		}
		e := effects[0]
		effects = nil
		return e
	}
	var p Producer
	s.Do(w.now, func(now time.Time) shard.Result {
		return m.InitProducerID(now, InitRequest{TransactionalID: "a", TimeoutMs: 1000}, func(o InitReply) { p = o.Producer })
	}, refuse)
	resume := take().(NeedProducerID).Resume
	s.Do(w.now, func(now time.Time) shard.Result { return resume(now, 7) }, refuse)
	write()
	s.Settle(end)
	if p != (Producer{ID: 7}) {
		t.Fatalf("the producer is %v", p)
	}
	var added, committed error = errRefused, errRefused
	s.Do(w.now, func(now time.Time) shard.Result {
		return m.AddPartitions(now, AddRequest{TransactionalID: "a", Producer: p, Version: V2, Partitions: partitions("t-0")}, func(err error) { added = err })
	}, refuse)
	s.Do(w.now, func(now time.Time) shard.Result {
		return m.EndTxn(now, EndRequest{TransactionalID: "a", Producer: p, Version: V2, Commit: true}, func(o EndReply) { p, committed = o.Producer, o.Err })
	}, refuse)
	write()
	if len(effects) != 0 || committed == nil {
		t.Fatalf("T3: before it is settled: %v, %v", effects, committed)
	}
	s.Settle(end)
	first := take().(*Markers)
	if added != nil || committed != nil || p != (Producer{ID: 7, Epoch: 1}) || first.Producer != p || !first.Commit {
		t.Fatalf("%v, %v, %v, markers %v", added, committed, p, first)
	}
	s.End()
	s, m = serve()
	again := take().(*Markers)
	s.Do(w.now, func(now time.Time) shard.Result { return m.Written(now, first, first.Partitions) }, refuse)
	if _, ok := s.Take(); ok {
		t.Fatal("what a shard that is gone has sent was counted")
	}
	s.Do(w.now, func(now time.Time) shard.Result { return m.Written(now, again, again.Partitions) }, refuse)
	write()
	s.Settle(end)
	if state, _ := m.txns.Settled("a"); state.Status != schema.TxnCompleteCommit {
		t.Fatalf("the transaction is %v", state.Status)
	}
}

// TestWhatCannotBeLoaded: a record of another topic, or of a state that is never written, ends the load (D4); a marker means nothing here.
func TestWhatCannotBeLoaded(t *testing.T) {
	m := New(Config{})
	key := schema.TransactionKey{TransactionalID: "a"}
	for name, x := range map[string]struct {
		entry shard.Entry
		want  error
	}{
		"another topic's":    {shard.Entry{Producer: model.NoProducer, Record: &schema.OffsetCommit{}}, errForeign},
		"of a transaction":   {shard.Entry{Producer: 1, Record: &schema.TransactionLog{Key: key, Value: created(1, 1, 1)}}, errForeign},
		"an unknown state":   {shard.Entry{Producer: model.NoProducer, Record: &schema.TransactionLog{Key: key, Value: &schema.Transaction{Status: schema.TxnDead}}}, errStatus},
		"a marker":           {shard.Entry{Producer: 1, Marker: &record.Marker{}}, nil},
		"a tombstone":        {shard.Entry{Producer: model.NoProducer, Record: &schema.TransactionLog{Key: key}}, nil},
		"a transactional ID": {shard.Entry{Producer: model.NoProducer, Record: &schema.TransactionLog{Key: key, Value: created(1, 1, 1)}}, nil},
	} {
		if err := m.Apply(0, x.entry); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
	}
}
