package wire

import (
	"fmt"
	"testing"
)

func TestByTopic(t *testing.T) {
	type part struct {
		name       string
		partitions []int
	}
	b := NewByTopic(func(topic string) part { return part{name: topic} })
	if b.Topics() != nil {
		t.Errorf("without a topic: %v", b.Topics())
	}
	for _, tp := range []struct {
		topic     string
		partition int
	}{{"b", 1}, {"a", 0}, {"b", 0}, {"c", 7}, {"a", 2}} {
		p := b.Of(tp.topic)
		p.partitions = append(p.partitions, tp.partition)
	}
	if got, want := fmt.Sprint(b.Topics()), "[{b [1 0]} {a [0 2]} {c [7]}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
