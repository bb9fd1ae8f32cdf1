package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
)

// TestUnusableConfigDeletesNothing: a stored value that cannot be used, as of a later version, must not make the topic fall
// back to a retention that its owner had ruled out.
func TestUnusableConfigDeletesNothing(t *testing.T) {
	var layers config.Layers
	b, err := layers.Broker()
	if err != nil {
		t.Fatal(err)
	}
	topic, err := layers.Topic()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := &follower{log: slog.New(slog.NewTextHandler(&log, nil))}
	eff := &effective{layers: layers, broker: b, topic: topic}

	s := f.settings(&image.Topic{Name: "t", Configs: map[string]string{"retention.ms": "77"}}, eff)
	if s.Log.RetentionMs != 77 || log.Len() != 0 {
		t.Errorf("a good value: retention %d, logged %q", s.Log.RetentionMs, log.String())
	}
	s = f.settings(&image.Topic{Name: "bad", Configs: map[string]string{"retention.ms": "-1", "segment.bytes": "many"}}, eff)
	if s.Log.RetentionMs != -1 || s.Log.RetentionBytes != -1 {
		t.Errorf("a bad value: retention of %d ms and %d bytes, want none", s.Log.RetentionMs, s.Log.RetentionBytes)
	}
	if s.Log.SegmentBytes != int64(topic.SegmentBytes) || s.Policy.MaxMessageBytes != int(topic.MaxMessageBytes) {
		t.Errorf("a bad value: %+v, want the broker's defaults", s)
	}
	if !strings.Contains(log.String(), "bad") {
		t.Errorf("the log does not name the topic: %s", log.String())
	}
}
