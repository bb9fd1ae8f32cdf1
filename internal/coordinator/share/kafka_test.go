package share

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// parseBatches reads "0-4:2*1,7-7:0*2".
func parseBatches(t *testing.T, text string) (out []Batch) {
	t.Helper()
	if text == "none" {
		return nil
	}
	for _, x := range strings.Split(text, ",") {
		var b Batch
		if _, err := fmt.Sscanf(x, "%d-%d:%d*%d", &b.First, &b.Last, &b.State, &b.Deliveries); err != nil {
			t.Fatalf("%s: %v", x, err)
		}
		out = append(out, b)
	}
	return out
}

// TestCombineAsKafka: the same of each record as Kafka's class says, which leaves some neighbours apart that are alike.
func TestCombineAsKafka(t *testing.T) {
	text, err := os.ReadFile("testdata/combined.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		n++
		var start model.Offset
		fmt.Sscan(f[2], &start)
		got := combine(merge(parseBatches(t, f[0]), nil), parseBatches(t, f[1]), start)
		if want := merge(parseBatches(t, f[3]), nil); !slices.Equal(got, want) {
			t.Errorf("%s and %s from %d: %s, want %s", f[0], f[1], start, showBatches(got), showBatches(want))
		}
	}
	if n < 100 {
		t.Errorf("%d cases", n)
	}
}

// foreign applies records as another broker might have written them.
func foreign(t *testing.T, records ...schema.Record) (*Machine, error) {
	t.Helper()
	m := New(Config{})
	m.Settle(model.Offset(len(records)))
	for i, r := range records {
		if err := m.Apply(model.Offset(i), shard.Entry{Producer: model.NoProducer, Record: r}); err != nil {
			return m, err
		}
	}
	return m, nil
}

// TestLogsOfKafka: writes that overtook each other, updates whose snapshot is pruned.
func TestLogsOfKafka(t *testing.T) {
	k, o := Key{Group: "g", TopicID: topicID("t")}, Key{Group: "o", TopicID: topicID("t")}
	update := func(k Key, start int64, batches ...schema.ShareBatch) schema.Record {
		return &schema.ShareStateUpdate{Key: k, Value: &schema.ShareUpdate{StartOffset: start, StateBatches: batches}}
	}
	m, err := foreign(t,
		update(o, 7),
		&schema.ShareStateSnapshot{Key: k, Value: &schema.ShareSnapshot{StartOffset: 0, StateEpoch: 2}},
		update(k, 9),
		update(k, 4, schema.ShareBatch{FirstOffset: 5, LastOffset: 11, DeliveryState: 2, DeliveryCount: 1}),
		update(k, -1),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := showState(m.newest(k).State), "epoch=2 leader=0 start=9 complete=0 9-11:acknowledged*1"; got != want || m.Len() != 1 {
		t.Errorf("%s and %d in all, want %s", got, m.Len(), want)
	}
}

// TestWhatDoesNotBelong ends the load: half a memory must not coordinate (D4).
func TestWhatDoesNotBelong(t *testing.T) {
	k := Key{Group: "g", TopicID: topicID("t")}
	backwards := []schema.ShareBatch{{FirstOffset: 2, LastOffset: 1}}
	for _, r := range []schema.Record{
		&schema.GroupMetadata{Key: schema.GroupKey{Group: "g"}},
		&schema.ShareStateSnapshot{Key: k, Value: &schema.ShareSnapshot{StateBatches: backwards}},
		&schema.ShareStateUpdate{Key: k, Value: &schema.ShareUpdate{StateBatches: backwards}},
	} {
		_, err := foreign(t, &schema.ShareStateSnapshot{Key: k, Value: &schema.ShareSnapshot{}}, r)
		if !errors.Is(err, errForeign) && !errors.Is(err, schema.ErrCorrupt) {
			t.Errorf("%T: %v", r, err)
		}
	}
	if err := New(Config{}).Apply(0, shard.Entry{Producer: 7, Record: &schema.ShareStateSnapshot{Key: k}}); !errors.Is(err, errForeign) {
		t.Error(err)
	}
}
