package config

import (
	"errors"
	"math"
	"testing"
	"time"
)

func brokerWith(t *testing.T, static map[string]string) *Broker {
	t.Helper()
	b, err := Layers{Static: static}.Broker()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAGroupHasTheBrokersValues(t *testing.T) {
	g, err := brokerWith(t, map[string]string{"group.share.record.lock.duration.ms": "20000"}).Group(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Group{
		Consumer: ConsumerGroup{SessionMs: 45000, HeartbeatMs: 5000, AssignmentIntervalMs: 1000},
		Share: ShareGroup{SessionMs: 45000, HeartbeatMs: 5000, AssignmentIntervalMs: 1000, RecordLockMs: 20000, DeliveryLimit: 5,
			MaxRecordLocks: 2000, Renew: true},
		Streams: StreamsGroup{SessionMs: 45000, HeartbeatMs: 5000, AssignmentIntervalMs: 1000, InitialDelayMs: 3000},
	}
	if *g != want {
		t.Errorf("%+v\nwant %+v", *g, want)
	}
}

func TestAGroupsOwnValuesComeFirst(t *testing.T) {
	g, err := brokerWith(t, nil).Group(map[string]string{
		"consumer.session.timeout.ms": "50000", "consumer.assignment.interval.ms": "0", "share.auto.offset.reset": "by_duration:PT1H",
		"share.isolation.level": "read_committed", "share.renew.acknowledge.enable": "false", "share.delivery.count.limit": "7",
		"share.partition.max.record.locks": "150", "streams.num.standby.replicas": "2", "streams.initial.rebalance.delay.ms": "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Group{
		Consumer: ConsumerGroup{SessionMs: 50000, HeartbeatMs: 5000},
		Share: ShareGroup{SessionMs: 45000, HeartbeatMs: 5000, AssignmentIntervalMs: 1000, RecordLockMs: 30000, DeliveryLimit: 7, MaxRecordLocks: 150,
			Reset: OffsetReset{Kind: ResetByDuration, Before: time.Hour}, ReadCommitted: true},
		Streams: StreamsGroup{SessionMs: 45000, HeartbeatMs: 5000, AssignmentIntervalMs: 1000, InitialDelayMs: 1, StandbyReplicas: 2},
	}
	if *g != want {
		t.Errorf("%+v\nwant %+v", *g, want)
	}
}

// What was set stays set when the broker's bounds become narrower, and acts as far as they allow.
func TestAGroupsOwnValuesAreKeptWithinTheBrokersBounds(t *testing.T) {
	b := brokerWith(t, map[string]string{"group.consumer.max.session.timeout.ms": "50000", "group.share.min.record.lock.duration.ms": "25000",
		"group.streams.max.standby.replicas": "1", "group.consumer.max.assignment.interval.ms": "500"})
	g, err := b.Group(map[string]string{"consumer.session.timeout.ms": "60000", "share.record.lock.duration.ms": "16000", "streams.num.standby.replicas": "2"})
	if err != nil {
		t.Fatal(err)
	}
	if g.Consumer.SessionMs != 50000 || g.Share.RecordLockMs != 25000 || g.Streams.StandbyReplicas != 1 || g.Consumer.AssignmentIntervalMs != 500 {
		t.Errorf("%+v", *g)
	}
	if _, err := b.Group(map[string]string{"consumer.session.timeout.ms": "long"}); err == nil {
		t.Error("a stored value that does not parse became something (D4)")
	}
}

func TestCheckGroupSpeaksAsKafkaDoes(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"no.such.key", "1", "Unknown group config name: no.such.key"},
		{"consumer.session.timeout.ms", "x", "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT"},
		{"consumer.session.timeout.ms", "0", "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1"},
		{"consumer.session.timeout.ms", "44999", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms", "60001", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"},
		{"consumer.heartbeat.interval.ms", "4999", "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms"},
		{"consumer.assignment.interval.ms", "15001", "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"},
		{"share.delivery.count.limit", "11", "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit"},
		{"share.partition.max.record.locks", "4001", "share.partition.max.record.locks must be less than or equal to group.share.max.partition.max.record.locks"},
		{"share.record.lock.duration.ms", "14999", "share.record.lock.duration.ms must be greater than or equal to group.share.min.record.lock.duration.ms"},
		{"share.isolation.level", "none", "Invalid value none for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"},
		{"share.auto.offset.reset", "none", "Invalid value none for configuration share.auto.offset.reset: Invalid value `none` for configuration share.auto.offset.reset. " +
			"The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
		{"streams.num.standby.replicas", "3", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"},
		{"share.session.timeout.ms", "45000", ""},
		{"streams.initial.rebalance.delay.ms", "2147483647", ""},
	} {
		got := ""
		if err := brokerWith(t, nil).CheckGroup(map[string]string{c.key: c.value}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%s: %q\nwant %q", c.key, c.value, got, c.want)
		}
	}
	wide := brokerWith(t, map[string]string{"group.share.min.session.timeout.ms": "1", "group.share.min.heartbeat.interval.ms": "1"})
	var conflict *ConflictError
	if err := wide.CheckGroup(map[string]string{"share.session.timeout.ms": "5000"}); !errors.As(err, &conflict) ||
		err.Error() != "share.session.timeout.ms must be greater than share.heartbeat.interval.ms" {
		t.Errorf("a session of one heartbeat: %v", err)
	}
	if err := wide.CheckGroup(map[string]string{"share.session.timeout.ms": "5000", "share.heartbeat.interval.ms": "4999"}); err != nil {
		t.Error(err)
	}
}

func TestParseOffsetReset(t *testing.T) {
	for text, want := range map[string]OffsetReset{
		"latest":                             {},
		"earliest":                           {Kind: ResetEarliest},
		"by_duration:PT0S":                   {Kind: ResetByDuration},
		"by_duration:P1DT2H3M4.5S":           {ResetByDuration, 26*time.Hour + 3*time.Minute + 4500*time.Millisecond},
		"by_duration:pt1h":                   {ResetByDuration, time.Hour},
		"by_duration:PT2H-30M":               {ResetByDuration, 90 * time.Minute},
		"by_duration:-PT-1H":                 {ResetByDuration, time.Hour},
		"by_duration:PT1.S":                  {ResetByDuration, time.Second},
		"by_duration:P100000000000D":         {ResetByDuration, math.MaxInt64},
		"by_duration:PT0.000000001S":         {ResetByDuration, 1},
		"by_duration:PT1,25S":                {ResetByDuration, 1250 * time.Millisecond},
		"by_duration:P1D":                    {ResetByDuration, 24 * time.Hour},
		"by_duration:PT3599.999999999S":      {ResetByDuration, time.Hour - 1},
		"by_duration:PT9223372036854775807S": {ResetByDuration, math.MaxInt64},
	} {
		got, err := ParseOffsetReset(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Latest", "none", "by_duration", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:P1DT", "by_duration:PT-1S",
		"by_duration:P1Y", "by_duration:1h", "by_duration:-PT1H", "by_duration:PT1.0000000001S", "by_duration:PT.5S"} {
		if got, err := ParseOffsetReset(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
