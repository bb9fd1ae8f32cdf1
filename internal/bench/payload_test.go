package bench

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPayloadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(MinMessageSize, 4096).Draw(t, "size")
		client := rapid.IntRange(0, maxConnections-1).Draw(t, "client")
		number := rapid.Int64Range(0, 1<<sequenceBits-1).Draw(t, "number")
		g := NewGenerator(rapid.Uint64().Draw(t, "seed"), 5, size)
		seq, due := Sequence(client, number), time.Unix(0, rapid.Int64Min(0).Draw(t, "due"))
		value := g.NewPayload(size, rapid.Uint32().Draw(t, "variant"))
		g.Stamp(value, seq, due)
		p, err := g.Check(g.Key(nil, seq), value, size)
		if err != nil {
			t.Fatal(err)
		}
		if p.Client() != client || p.Number() != number || !p.Due.Equal(due) {
			t.Fatalf("read back client %d, number %d, due %s", p.Client(), p.Number(), p.Due)
		}
		value[rapid.IntRange(0, size-1).Draw(t, "damaged")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if _, err := g.Check(g.Key(nil, seq), value, size); err == nil {
			t.Fatal("a damaged payload passes")
		}
	})
}

// A payload whose checksum was made anew after the damage is caught by the comparison with the generator.
func TestCheckComparesEveryByte(t *testing.T) {
	g, other := NewGenerator(1, 0, 64), NewGenerator(2, 0, 64)
	other.seed = g.seed // same header, other filler, valid checksums
	value := other.NewPayload(64, 5)
	other.Stamp(value, 9, time.Unix(0, 0))
	if _, err := g.Check(nil, value, 64); err == nil {
		t.Error("a payload with another filler passes")
	}
}
