package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLayersInOrder(t *testing.T) {
	l := Layers{
		Static:         map[string]string{"log.retention.hours": "1", "message.max.bytes": "100"},
		DynamicDefault: map[string]string{"message.max.bytes": "200"},
		Dynamic:        map[string]string{"message.max.bytes": "300"},
	}
	check := func(name string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	base, err := l.Topic()
	if err != nil {
		t.Fatal(err)
	}
	check("retention.ms from hours", base.RetentionMs, int64(3_600_000))
	check("max.message.bytes", base.MaxMessageBytes, int32(300))
	check("flush.messages", base.FlushMessages, int64(1))
	check("relaxed", base.Relaxed(), false)
	check("delete", base.CleanupDelete, true)

	own, err := base.With(map[string]string{"max.message.bytes": "400", "cleanup.policy": "compact"})
	if err != nil {
		t.Fatal(err)
	}
	check("own max.message.bytes", own.MaxMessageBytes, int32(400))
	check("own cleanup", fmt.Sprint(own.CleanupDelete, own.CleanupCompact), "false true")
	check("base is not touched", base.MaxMessageBytes, int32(300))

	l.Dynamic["log.retention.ms"], l.Static["log.retention.minutes"] = "7", "2"
	base, _ = l.Topic()
	check("retention.ms from ms", base.RetentionMs, int64(7))
	delete(l.Dynamic, "log.retention.ms")
	base, _ = l.Topic()
	check("retention.ms from minutes", base.RetentionMs, int64(120_000))
	l.Static["log.retention.minutes"] = "-1"
	base, _ = l.Topic()
	check("unlimited stays unlimited", base.RetentionMs, int64(-1))

	_, err = base.With(map[string]string{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"})
	if want := "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestStoredRubbishIsAnErrorNotADefault(t *testing.T) {
	l := Layers{Dynamic: map[string]string{"log.segment.bytes": "huge", "num.partitions": "many"}}
	var invalid *InvalidValueError
	if _, err := l.Topic(); !errors.As(err, &invalid) {
		t.Errorf("Topic: %v", err)
	}
	if _, err := l.Broker(); !errors.As(err, &invalid) {
		t.Errorf("Broker: %v", err)
	}
	if _, err := l.DescribeBroker(); !errors.As(err, &invalid) {
		t.Errorf("DescribeBroker: %v", err)
	}
}

func render(entries []Entry, names ...string) string {
	var b strings.Builder
	for _, e := range entries {
		if !slices.Contains(names, e.Key.Name) {
			continue
		}
		value := e.Value
		if e.IsNull {
			value = "null"
		}
		fmt.Fprintf(&b, "%s=%s %s ro=%v", e.Key.Name, value, e.Source, e.ReadOnly)
		for _, s := range e.Synonyms {
			fmt.Fprintf(&b, " [%s=%s %s]", s.Name, s.Value, s.Source)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The expected lines are what Kafka answered to the same steps.
func TestDescribeAnswersAsKafkaDoes(t *testing.T) {
	l := Layers{DynamicDefault: map[string]string{"log.retention.ms": "6000"}, Dynamic: map[string]string{"log.retention.ms": "5000"}}
	topic, err := l.DescribeTopic(nil)
	if err != nil {
		t.Fatal(err)
	}
	const family = "[log.retention.ms=5000 DYNAMIC_BROKER_CONFIG] [log.retention.ms=6000 DYNAMIC_DEFAULT_BROKER_CONFIG] [log.retention.hours=168 DEFAULT_CONFIG]"
	compare(t, render(topic, "retention.ms"), "retention.ms=5000 DYNAMIC_BROKER_CONFIG ro=false "+family+"\n")
	broker, err := l.DescribeBroker()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, render(broker, "log.retention.hours", "log.retention.minutes", "log.retention.ms"),
		"log.retention.hours=168 DEFAULT_CONFIG ro=true [log.retention.hours=168 DEFAULT_CONFIG]\n"+
			"log.retention.minutes=null DEFAULT_CONFIG ro=true\n"+
			"log.retention.ms=5000 DYNAMIC_BROKER_CONFIG ro=false "+family+"\n")
	const internal = "share.coordinator.state.topic.prune.interval.ms"
	compare(t, render(broker, internal), "")
	if broker, err = (Layers{Static: map[string]string{internal: "7"}}).DescribeBroker(); err != nil {
		t.Fatal(err)
	}
	compare(t, render(broker, internal), internal+"=7 STATIC_BROKER_CONFIG ro=true ["+internal+"=7 STATIC_BROKER_CONFIG] ["+internal+"=300000 DEFAULT_CONFIG]\n")
	all, err := l.DescribeClusterDefault()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, render(all, "log.retention.ms"), "log.retention.ms=6000 DYNAMIC_DEFAULT_BROKER_CONFIG ro=false [log.retention.ms=6000 DYNAMIC_DEFAULT_BROKER_CONFIG]\n")

	plain, err := Layers{}.DescribeTopic(map[string]string{"cleanup.policy": "compact", "retention.ms": " 5 "})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, render(plain, "cleanup.policy", "retention.ms", "segment.ms"),
		"cleanup.policy=compact DYNAMIC_TOPIC_CONFIG ro=false [cleanup.policy=compact DYNAMIC_TOPIC_CONFIG] [log.cleanup.policy=delete DEFAULT_CONFIG]\n"+
			"retention.ms=5 DYNAMIC_TOPIC_CONFIG ro=false [retention.ms=5 DYNAMIC_TOPIC_CONFIG]\n"+
			"segment.ms=604800000 DEFAULT_CONFIG ro=false\n")
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
