package schema

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chronik/internal/model"
)

func TestUnknownTypesAreToldFromCorruption(t *testing.T) {
	offset := []byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 7}
	for _, tc := range []struct {
		name       string
		topic      *Topic
		key, value []byte
		want       error
	}{
		{"a type between known ones", Groups, []byte{0, 18, 0, 1, 'g'}, nil, ErrUnknownType},
		{"a type of the future", Groups, []byte{0, 99}, []byte{0, 0}, ErrUnknownType},
		{"a negative type", Groups, []byte{0xff, 0xff}, nil, ErrUnknownType},
		{"another topic's type", Transactions, offset, nil, ErrUnknownType},
		{"no key", Groups, nil, nil, ErrCorrupt},
		{"half a type", Groups, []byte{0}, nil, ErrCorrupt},
		{"half a key", Groups, offset[:7], nil, ErrCorrupt},
		{"more than a key", Groups, append(bytes.Clone(offset), 0), nil, ErrCorrupt},
		{"a text of negative length", Groups, []byte{0, 2, 0xff, 0xff}, nil, ErrCorrupt},
		{"an empty value", Groups, offset, []byte{}, ErrCorrupt},
		{"half a value", Groups, offset, []byte{0, 4, 0, 0}, ErrCorrupt},
		{"a value's version of the future", Groups, offset, []byte{0, 5, 0, 0}, ErrCorrupt},
		{"a negative version", Groups, offset, []byte{0xff, 0xff}, ErrCorrupt},
		{"a version of our own values' future", Groups, []byte{0, 3, 0, 1, 'g'}, []byte{0, 1, 0, 0, 0, 1, 0}, ErrCorrupt},
		{"an array longer than the value", Groups, []byte{0, 16, 0, 1, 'g', 0, 1, 'p'}, []byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, ErrCorrupt},
		{"a null text", Groups, []byte{0, 10, 0, 1, 'g', 0, 1, 'm'}, []byte{0, 0, 0, 0}, ErrCorrupt},
	} {
		if r, err := tc.topic.Decode(tc.key, tc.value); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %v, want %v", tc.name, r, err, tc.want)
		}
	}
}

// TestD4TextsThatDoNotFit: a length that wrapped would be read as another record, or end a load.
func TestD4TextsThatDoNotFit(t *testing.T) {
	long, longest := strings.Repeat("x", math.MaxInt16+1), strings.Repeat("x", math.MaxInt16)
	group := func(change func(*ClassicGroup)) *GroupMetadata {
		v := &ClassicGroup{}
		change(v)
		return &GroupMetadata{Key: GroupKey{"g"}, Value: v}
	}
	expiring := &Offset{}
	expiring.Metadata, expiring.ExpireTimestamp = long, 1
	plain := &Offset{ExpireTimestamp: NoTime}
	plain.Metadata = long
	for _, tc := range []struct {
		name string
		r    Record
		want error
	}{
		{"a group", &OffsetCommit{Key: OffsetKey{Group: long}}, ErrTooLong},
		{"a group that just fits", &OffsetCommit{Key: OffsetKey{Group: longest}}, nil},
		{"a transactional ID", &TransactionLog{Key: TransactionKey{long}}, ErrTooLong},
		{"a classic group's leader", group(func(v *ClassicGroup) { v.Leader = &long }), ErrTooLong},
		{"a classic group's type", group(func(v *ClassicGroup) { v.ProtocolType = long }), ErrTooLong},
		{"an offset's text", &OffsetCommit{Value: plain}, nil},
		{"an offset's text in the version with expiry", &OffsetCommit{Value: expiring}, ErrTooLong},
	} {
		key, value, err := Encode(tc.r)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if err != nil {
			continue
		}
		if again, err := Groups.Decode(key, value); err != nil || again.Tombstone() != tc.r.Tombstone() {
			t.Errorf("%s: %v, %v when it is read again", tc.name, again, err)
		}
	}
}

// TestUnknownTagsStay: what a newer broker has said is still there when this one writes the record again.
func TestUnknownTagsStay(t *testing.T) {
	key := []byte{0, 3, 0, 1, 'g'}
	value := []byte{0, 0, 0, 0, 0, 5, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 77, 3, 'n', 'e', 'w'}
	r, err := Groups.Decode(key, value)
	if err != nil {
		t.Fatal(err)
	}
	want := &ConsumerGroupEpoch{Key: GroupKey{"g"},
		Value: &ConsumerGroupMetadata{Epoch: 5, MetadataHash: 9, Tags: []Tag{{77, []byte("new")}}}}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if k, v, err := Encode(r); err != nil || !bytes.Equal(k, key) || !bytes.Equal(v, value) {
		t.Errorf("written as %x %x, %v", k, v, err)
	}
}

// TestNothingAliasesTheInput: records outlive the buffer that a log was read into.
func TestNothingAliasesTheInput(t *testing.T) {
	for _, g := range readGolden(t, "testdata/classes.txt") {
		key, value := bytes.Clone(g.key), bytes.Clone(g.value)
		r, err := g.topic.Decode(key, value)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{key, value} {
			for i := range b {
				b[i] = 0xa5
			}
		}
		fresh, _ := g.topic.Decode(g.key, g.value)
		if d := cmp.Diff(fresh, r); d != "" {
			t.Errorf("%s: %s", g.title, d)
		}
	}
}

// TestDefaultsOfOldVersions: what a version does not have is not 0 in all cases.
func TestDefaultsOfOldVersions(t *testing.T) {
	for _, g := range readGolden(t, "testdata/classes.txt") {
		r, err := g.topic.Decode(g.key, g.value)
		if err != nil {
			t.Fatal(err)
		}
		version := int16(g.value[0])<<8 | int16(g.value[1])
		switch r := r.(type) {
		case *OffsetCommit:
			if version < 3 && r.Value.LeaderEpoch != -1 {
				t.Errorf("%s has leader epoch %d, want -1", g.title, r.Value.LeaderEpoch)
			}
			if version != 1 && r.Value.ExpireTimestamp != NoTime {
				t.Errorf("%s expires at %d, want -1", g.title, r.Value.ExpireTimestamp)
			}
		case *GroupMetadata:
			if version < 2 && r.Value.CurrentStateTimestamp != NoTime {
				t.Errorf("%s has state time %d, want -1", g.title, r.Value.CurrentStateTimestamp)
			}
			for _, m := range r.Value.Members {
				if version == 0 && m.RebalanceTimeout != m.SessionTimeout {
					t.Errorf("%s: rebalance timeout %d, session timeout %d", g.title, m.RebalanceTimeout, m.SessionTimeout)
				}
			}
		}
	}
}

// TestPartition: the values are those of Kafka's own classes.
func TestPartition(t *testing.T) {
	for _, tc := range []struct {
		name string
		hash int32
		want int32 // of 50
	}{
		{"", 0, 0},
		{"a", 97, 47},
		{"group", 98629247, 47},
		{"my-consumer-group", 1513705513, 13},
		{"groupe-é", 506365602, 2},
		{"组", 32452, 2},
		{"😀-emoji", -1200436388, 38},
		{"polygenelubricants", math.MinInt32, 0},
		{"console-consumer-12345", 158455506, 6},
	} {
		if got := hash(tc.name); got != tc.hash {
			t.Errorf("hash(%q) = %d, want %d", tc.name, got, tc.hash)
		}
		if got := Partition(tc.name, 50); got != tc.want {
			t.Errorf("Partition(%q, 50) = %d, want %d", tc.name, got, tc.want)
		}
	}
	k := SharePartitionKey{Group: "g", TopicID: model.TopicID{7: 1, 15: 2}, Partition: 3}
	if got, want := k.Coordinated(), "g:AAAAAAAAAAEAAAAAAAAAAg:3"; got != want || Partition(got, 50) != 28 {
		t.Errorf("a share partition is found by %q in %d, want %q in 28", got, Partition(got, 50), want)
	}
}

// BenchmarkOffsets: what a load costs per record, and a commit.
func BenchmarkOffsets(b *testing.B) {
	v := &Offset{Offset: 123456789, CommitTimestamp: 1_700_000_000_000, ExpireTimestamp: NoTime, TopicID: model.NewTopicID()}
	r := &OffsetCommit{Key: OffsetKey{"a-group-of-usual-name", "a-topic-of-usual-name", 17}, Value: v}
	key, value, err := Encode(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Groups.Decode(key, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = AppendKey(buf[:0], r)
			buf, _ = AppendValue(buf, r)
		}
	})
}
