package group

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/shardtest"
	"chronik/internal/model"
	"chronik/internal/record"
)

// known is what a log says of offsets, by the rules and without regard for speed.
type known struct {
	committed map[schema.OffsetKey]at
	pending   map[model.ProducerID]map[schema.OffsetKey]at
}

type at struct{ record, offset model.Offset }

func fold(t testing.TB, log []shardtest.Entry) known {
	k := known{make(map[schema.OffsetKey]at), make(map[model.ProducerID]map[schema.OffsetKey]at)}
	for off, x := range log {
		p := x.Producer.ID
		if x.Marker != nil {
			for key, v := range k.pending[p] {
				if have, ok := k.committed[key]; x.Marker.Type == record.Commit && (!ok || have.record < v.record) {
					k.committed[key] = v
				}
			}
			delete(k.pending, p)
			continue
		}
		rec, err := schema.Groups.Decode(x.Key, x.Value)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := rec.(*schema.OffsetCommit)
		switch {
		case !ok:
		case r.Value == nil:
			delete(k.committed, r.Key)
			for _, of := range k.pending {
				delete(of, r.Key)
			}
		case p == model.NoProducer:
			k.committed[r.Key] = at{model.Offset(off), r.Value.Offset}
		default:
			if k.pending[p] == nil {
				k.pending[p] = make(map[schema.OffsetKey]at)
			}
			k.pending[p][r.Key] = at{model.Offset(off), r.Value.Offset}
		}
	}
	return k
}

func (k *known) isPending(key schema.OffsetKey) bool {
	for _, of := range k.pending {
		if _, ok := of[key]; ok {
			return true
		}
	}
	return false
}

const modelGroups = 2

// TestT3: offsets commit if and only if their transaction does, whatever the log refuses and whoever coordinates; readers see what is
// settled (G1), and who wants it stable is refused exactly what may change (KIP-447).
func TestT3(t *testing.T) {
	for seed := range *seeds/30 + 1 { // each looks at all of its log after each step
		w := newWorld(t)
		w.t = fatal{t, uint64(seed)}
		r := rand.New(rand.NewPCG(uint64(seed), 9))
		for n := range 150 {
			w.out.Reset()
			w.transact(r, model.Offset(n))
			w.compare()
		}
		w.settle()
		if diff := w.same(); diff != "" {
			w.t.Fatal(diff)
		}
	}
}

func (w *world) transact(r *rand.Rand, value model.Offset) {
	commit := CommitRequest{Group: fmt.Sprint("g", r.IntN(modelGroups)), Generation: -1, RetentionMs: -1}
	for p := range modelPartitions {
		if r.IntN(3) == 0 {
			commit.Offsets = append(commit.Offsets, CommitOffset{TopicPartition: model.TopicPartition{Topic: "t", Partition: int32(p)}, Offset: value})
		}
	}
	producer := shard.Producer{ID: model.ProducerID(r.IntN(3)), Epoch: int16(r.IntN(2))}
	switch n := r.IntN(100); {
	case n < 30:
		w.run(w.m.TxnCommit(w.now, TxnCommitRequest{commit, producer}, func(CommitReply) {}))
	case n < 45:
		w.run(w.m.Commit(w.now, commit, func(CommitReply) {}))
	case n < 65:
		m := record.Marker{Type: record.ControlType(r.IntN(2)), Producer: producer.ID, ProducerEpoch: producer.Epoch}
		w.run(w.m.Marker(w.now, m, false, func(error) {}))
	case n < 70:
		w.run(w.m.DeleteOffsets(w.now, DeleteOffsetsRequest{Group: commit.Group, Partitions: commit.partitions()}, func(DeleteOffsetsReply) {}))
	case n < 73:
		w.run(w.m.Delete(w.now, []string{commit.Group}, func(DeleteReply) {}))
	case n < 80:
		w.hold = true
	case n < 88:
		w.hold = false
		w.settle()
	case n < 95:
		w.hold = false
		w.refuse()
	case n < 97:
		w.hold = false
		w.reload()
	default:
		w.advance(w.config.Retention / 3)
	}
}

func (w *world) compare() {
	settled, newest := fold(w.t, w.Log[:w.Watermark]), fold(w.t, w.Log)
	for g := range modelGroups {
		for p := range modelPartitions {
			tp := model.TopicPartition{Topic: "t", Partition: int32(p)}
			key := schema.OffsetKey{Group: fmt.Sprint("g", g), Topic: tp.Topic, Partition: tp.Partition}
			r := FetchRequest{Group: key.Group, Partitions: []model.TopicPartition{tp}}
			want, ok := settled.committed[key]
			if !ok {
				want.offset = model.NoOffset
			}
			got := w.m.Fetch(r).Offsets[0]
			if got.Err != nil || got.Offset != want.offset {
				w.t.Fatal(fmt.Sprintf("G1: %s is %d (%v), settled is %d", tp, got.Offset, got.Err, want.offset))
			}
			r.Stable = true
			next := newest.committed[key]
			changes := settled.isPending(key) || newest.isPending(key) || ok && next != want || !ok && next != at{}
			stable := w.m.Fetch(r).Offsets[0]
			if changes && stable.Err != ErrUnstableOffset || stable.Err == nil && stable.Offset != want.offset {
				w.t.Fatal(fmt.Sprintf("T3: stable, %s is %d (%v), settled is %d, it may change: %t", tp, stable.Offset, stable.Err, want.offset, changes))
			}
			if stable.Err != nil && w.Watermark == w.end() && !newest.isPending(key) {
				w.t.Fatal(fmt.Sprintf("T3: %s is not stable, nothing changes it", tp))
			}
		}
	}
}
