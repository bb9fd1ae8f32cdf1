package record

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"testing"

	"chronik/internal/record/compress"
)

//go:embed testdata/*.bin
var goldenFiles embed.FS

// golden is what testdata/Golden.java, Kafka's own code, wrote.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := goldenFiles.ReadFile("testdata/kafka-" + name + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// likeGolden builds the batch that Golden.java builds.
func likeGolden(t testing.TB, c compress.Codec) Batch {
	t.Helper()
	w := NewBuilder(Options{
		BaseOffset: 40, LeaderEpoch: 5, Codec: c, Transactional: true,
		Producer: &Producer{ID: 9, Epoch: 2, Sequence: 17},
	})
	for i := range 200 {
		var key, value []byte
		if i%3 != 0 {
			key = fmt.Appendf(nil, "key-%d", i)
		}
		if i%7 != 0 {
			value = []byte(strings.Repeat(fmt.Sprintf("value-%d ", i), i%10))
		}
		var headers []Header
		for h := range i % 4 {
			header := Header{Key: fmt.Sprintf("header-%d", h)}
			if h%2 == 0 {
				header.Value = fmt.Appendf(nil, "x%d", i)
			}
			headers = append(headers, header)
		}
		w.Add(1700000000000+int64(i), key, value, headers...)
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuilderWritesWhatKafkaWrites(t *testing.T) {
	if want, got := golden(t, "none"), likeGolden(t, compress.None); !bytes.Equal(want, got) {
		t.Errorf("built %x\nKafka %x", got, want)
	}
}

func TestKafkasCompressedBatchesAreRead(t *testing.T) {
	want := likeGolden(t, compress.None).Records()
	for c := compress.None; c.Valid(); c++ {
		b, rest, err := Next(golden(t, c.String()))
		if err != nil || len(rest) != 0 {
			t.Fatalf("%v: %v", c, err)
		}
		if err := b.CheckClient(); err != nil || b.Codec() != c || b.LastOffset() != 239 || b.LastSequence() != 216 {
			t.Errorf("%v: %v, codec %v", c, err, b.Codec())
		}
		data, err := compress.Decompress(nil, b.Records(), c, len(want))
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("%v: %v", c, err)
		}
		if err := ValidateRecords(data, b.RecordCount(), nil); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestMarkersAreKafkas(t *testing.T) {
	for name, kind := range map[string]ControlType{"abort": Abort, "commit": Commit} {
		m := Marker{Type: kind, CoordinatorEpoch: 12, Producer: 9, ProducerEpoch: 2, TimestampMs: 1700000000000}
		want := golden(t, name)
		if got := EndTxn(m); !bytes.Equal(got, want) {
			t.Errorf("%s: built %x\nKafka %x", name, got, want)
		}
		if got, err := ParseControl(want); err != nil || got != m {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
