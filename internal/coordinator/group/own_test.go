package group

import (
	"strings"
	"testing"

	"chronik/internal/config"
	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
)

// own gives a group values of its own, or takes all of them away.
func (s *script) own(name string, a args) {
	b, err := config.Layers{}.Broker()
	if err != nil {
		s.t.Fatal(err)
	}
	s.config.Own = func(values map[string]string) *config.Group {
		g, err := b.Group(values)
		if err != nil {
			s.t.Fatal(err)
		}
		return g
	}
	s.m.Config = s.config
	delete(a, name) // as any word without a value is among them
	if _, err := b.Group(a); err != nil {
		s.t.Fatal(err)
	}
	var unset []string
	for k := range s.image.GroupConfigs(name) {
		if _, kept := a[k]; !kept {
			unset = append(unset, k)
		}
	}
	d := s.change(command.GroupConfig(name, command.Values(a), unset))
	s.run(s.m.OnImage(s.now, s.image, d))
}

// A heartbeat says how often to report, as the group's kind has it; the session's timer shows the rest.
func TestOwnValuesOfEachKind(t *testing.T) {
	s := &script{world: newWorld(t), ids: make(map[string]string), generations: make(map[string]int32)}
	s.config.Streams.MaxStandbys = 2
	s.own("g", args{"consumer.heartbeat.interval.ms": "6000", "consumer.session.timeout.ms": "50000"})
	s.own("h", args{"share.heartbeat.interval.ms": "7000", "share.session.timeout.ms": "51000"})
	s.own("i", args{"streams.heartbeat.interval.ms": "8000", "streams.session.timeout.ms": "52000", "streams.num.standby.replicas": "1", "streams.initial.rebalance.delay.ms": "0"})
	session := func(group, member string) int64 {
		return s.Timers[shard.TimerKey{Kind: SessionTimer, Group: group, Member: member}].Sub(s.now).Milliseconds()
	}
	s.run(s.m.ConsumerHeartbeat(s.now, ConsumerHeartbeatRequest{Group: "g", Member: "x", RebalanceMs: 1, Owned: []assign.TopicPartitions{}, Topics: []string{"t"}}, func(o ConsumerHeartbeatReply) {
		if o.Err != nil || o.HeartbeatMs != 6000 || session("g", "x") != 50000 {
			t.Errorf("consumer: %+v, session %d", o, session("g", "x"))
		}
	}))
	s.run(s.m.ShareHeartbeat(s.now, ShareHeartbeatRequest{Group: "h", Member: "x", Topics: []string{"t"}}, func(o ShareHeartbeatReply) {
		if o.Err != nil || o.HeartbeatMs != 7000 || session("h", "x") != 51000 {
			t.Errorf("share: %+v, session %d", o, session("h", "x"))
		}
	}))
	if c := s.m.streams("i"); c.heartbeat() != ms(8000) || c.session() != ms(52000) || c.standbys() != 1 || c.InitialDelay != 0 {
		t.Errorf("streams: %+v", c)
	}
	if c := s.m.streams("g"); c.session() != defaultSession {
		t.Errorf("a streams group with values for consumers: %+v", c)
	}
	s.settle()
	if diff := s.same(); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(s.out.String(), "INVALID"); n > 0 {
		t.Error(s.out.String())
	}
}
