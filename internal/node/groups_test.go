package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// TestUnusableConfigOfAGroup: what a later version has stored does not act, and is named once; the group goes on with the broker's values.
func TestUnusableConfigOfAGroup(t *testing.T) {
	b, err := (config.Layers{}).Broker()
	if err != nil {
		t.Fatal(err)
	}
	im, d, err := image.Apply(image.New("c"), []*command.Command{
		command.GroupConfig("good", command.Values(map[string]string{"consumer.session.timeout.ms": "50000"}), nil),
		command.GroupConfig("bad", command.Values(map[string]string{"consumer.session.timeout.ms": "50000", "of.a.later.version": "1"}), nil),
	}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := &follower{log: slog.New(slog.NewTextHandler(&log, nil))}
	f.current.Store(&effective{broker: b})
	f.judgeGroups(im, d.GroupConfigs)
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "group=bad") {
		t.Errorf("logged:\n%s\nwant one line about the group bad", log.String())
	}
	own := groupConfig(b).Own
	if g := own(im.GroupConfigs("good")); g == nil || g.Consumer.SessionMs != 50000 {
		t.Errorf("the good group has %+v", g)
	}
	if g := own(im.GroupConfigs("bad")); g != nil {
		t.Errorf("the bad group has %+v, want the broker's values", g)
	}
}

// TestGroupKeysReachTheGroups: bounds hold for the broker's own values, too.
func TestGroupKeysReachTheGroups(t *testing.T) {
	b, err := config.Layers{Static: map[string]string{
		"group.consumer.assignment.interval.ms": "9000", "group.consumer.max.assignment.interval.ms": "500", "group.share.max.size": "3",
		"group.streams.num.standby.replicas": "1", "group.streams.initial.rebalance.delay.ms": "7",
	}}.Broker()
	if err != nil {
		t.Fatal(err)
	}
	c := groupConfig(b)
	if c.Consumer.AssignmentInterval != millis(500) || c.Share.MaxSize != 3 || c.Streams.Standbys != 1 || c.Streams.InitialDelay != millis(7) {
		t.Errorf("%+v", c)
	}
}
