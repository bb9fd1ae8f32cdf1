package fetchsession

import (
	"errors"
	"slices"
	"testing"
	"time"

	"chronik/internal/model"
)

var t0 = time.Unix(1_700_000_000, 0)

func part(topic string, n int32) Partition {
	return Partition{Key: Key{Topic: topic, Partition: n}, MaxBytes: 1 << 20}
}

func begin(t *testing.T, c *Cache, r Request, now time.Time) *Fetch {
	t.Helper()
	f, err := c.Begin(r, now)
	if err != nil {
		t.Fatalf("Begin(%+v) = %v", r, err)
	}
	return f
}

func served(f *Fetch) (keys []int32) {
	for p := range f.Partitions {
		keys = append(keys, p.Partition)
	}
	return keys
}

func TestIncrementalFetchNamesOnlyWhatChanged(t *testing.T) {
	c := NewCache(2)
	f := begin(t, c, Request{Partitions: []Partition{part("a", 0), part("a", 1), part("a", 2)}}, t0)
	id := f.SessionID()
	if id == 0 {
		t.Fatal("an initial fetch got no session though the cache is empty")
	}
	for p := range f.Partitions {
		if !f.Include(p, Answer{HighWatermark: 5}) {
			t.Errorf("full fetch left out partition %d", p.Partition)
		}
	}
	f.End()

	f = begin(t, c, Request{SessionID: id, SessionEpoch: 1, Forgotten: []Key{{Topic: "a", Partition: 2}}}, t0)
	if got := served(f); !slices.Equal(got, []int32{0, 1}) {
		t.Fatalf("served %v after forgetting 2, want 0 and 1", got)
	}
	answers := map[int32]Answer{0: {HighWatermark: 6, RecordBytes: 10}, 1: {HighWatermark: 5}}
	for p := range f.Partitions {
		if got, want := f.Include(p, answers[p.Partition]), p.Partition == 0; got != want {
			t.Errorf("partition %d: included %v, want %v", p.Partition, got, want)
		}
	}
	f.End()

	f = begin(t, c, Request{SessionID: id, SessionEpoch: 2}, t0)
	if got := served(f); !slices.Equal(got, []int32{1, 0}) {
		t.Errorf("served %v, want the partition that returned records last", got)
	}
	f.End()
}

func TestAFailedPartitionIsNamedUntilItRecovers(t *testing.T) {
	c := NewCache(1)
	f := begin(t, c, Request{Partitions: []Partition{part("a", 0)}}, t0)
	id := f.SessionID()
	f.End()
	for epoch, a := range []Answer{{HighWatermark: 3, Failed: true}, {HighWatermark: 3, Failed: true}, {HighWatermark: 3}} {
		f = begin(t, c, Request{SessionID: id, SessionEpoch: int32(epoch) + 1}, t0)
		for p := range f.Partitions {
			if !f.Include(p, a) {
				t.Errorf("epoch %d: answer %+v was left out", epoch+1, a)
			}
		}
		f.End()
	}
}

func TestSessionRefusals(t *testing.T) {
	c := NewCache(1)
	f := begin(t, c, Request{Partitions: []Partition{part("a", 0)}}, t0)
	id := f.SessionID()
	if _, err := c.Begin(Request{SessionID: id, SessionEpoch: 1}, t0); !errors.Is(err, ErrSessionEpoch) {
		t.Errorf("a session in use: %v, want ErrSessionEpoch", err)
	}
	f.End()
	for _, tc := range []struct {
		req  Request
		want error
	}{
		{Request{SessionID: id + 1, SessionEpoch: 1}, ErrSessionNotFound},
		{Request{SessionID: id, SessionEpoch: 2}, ErrSessionEpoch},
		{Request{SessionID: id, SessionEpoch: 1, UsesIDs: true}, ErrSessionTopicID},
	} {
		if _, err := c.Begin(tc.req, t0); !errors.Is(err, tc.want) {
			t.Errorf("Begin(%+v) = %v, want %v", tc.req, err, tc.want)
		}
	}
}

func TestFinalEpochClosesTheSession(t *testing.T) {
	c := NewCache(1)
	f := begin(t, c, Request{Partitions: []Partition{part("a", 0)}}, t0)
	id := f.SessionID()
	f.End()
	f = begin(t, c, Request{SessionID: id, SessionEpoch: epochFinal}, t0)
	if f.SessionID() != 0 || c.Len() != 0 {
		t.Errorf("after the final epoch: session %d, %d sessions kept", f.SessionID(), c.Len())
	}
	f.End()
}

func TestAFullCacheEvictsOnlyTheStale(t *testing.T) {
	c := NewCache(1)
	f := begin(t, c, Request{Partitions: []Partition{part("a", 0), part("a", 1)}}, t0)
	first := f.SessionID()
	f.End()

	f = begin(t, c, Request{Partitions: []Partition{part("b", 0)}}, t0.Add(time.Minute))
	if f.SessionID() != 0 {
		t.Error("a fresh session was evicted for a smaller newcomer")
	}
	f.End()

	f = begin(t, c, Request{Partitions: []Partition{part("b", 0)}}, t0.Add(minEviction))
	if f.SessionID() == 0 {
		t.Error("a stale session was kept")
	}
	f.End()
	if _, err := c.Begin(Request{SessionID: first, SessionEpoch: 1}, t0.Add(minEviction)); !errors.Is(err, ErrSessionNotFound) {
		t.Errorf("the evicted session answered %v, want ErrSessionNotFound", err)
	}
}

func TestKeysByNameAndByIDDiffer(t *testing.T) {
	id := model.NewTopicID()
	s := newSession(1, true, t0)
	s.upsert(Partition{Key: Key{ID: id}})
	s.upsert(Partition{Key: Key{Topic: id.String()}})
	if s.order.Len() != 2 {
		t.Errorf("%d partitions, want 2", s.order.Len())
	}
}
