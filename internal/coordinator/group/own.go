package group

import (
	"time"

	"chronik/internal/config"
)

// own is what is in effect for a group that has values of its own; nil: it has none. They count from the next decision about the group on:
// sessions that have begun end when they were to.
func (m *Machine) own(id string) *config.Group {
	if m.image == nil || m.Config.Own == nil {
		return nil
	}
	values := m.image.GroupConfigs(id)
	if len(values) == 0 {
		return nil
	}
	return m.Config.Own(values)
}

// consumers is what is in effect for a group of consumers.
func (m *Machine) consumers(id string) *ConsumerConfig {
	own := m.own(id)
	if own == nil {
		return &m.Config.Consumer
	}
	c, o := m.Config.Consumer, own.Consumer
	c.Session, c.Heartbeat, c.AssignmentInterval = ms(o.SessionMs), ms(o.HeartbeatMs), ms(o.AssignmentIntervalMs)
	return &c
}

// shares is what is in effect for a share group.
func (m *Machine) shares(id string) *ShareConfig {
	own := m.own(id)
	if own == nil {
		return &m.Config.Share
	}
	c, o := m.Config.Share, own.Share
	c.Session, c.Heartbeat, c.AssignmentInterval = ms(o.SessionMs), ms(o.HeartbeatMs), ms(o.AssignmentIntervalMs)
	return &c
}

// streams is what is in effect for a streams group.
func (m *Machine) streams(id string) *StreamsConfig {
	own := m.own(id)
	if own == nil {
		return &m.Config.Streams
	}
	c, o := m.Config.Streams, own.Streams
	c.Session, c.Heartbeat, c.AssignmentInterval = ms(o.SessionMs), ms(o.HeartbeatMs), ms(o.AssignmentIntervalMs)
	c.InitialDelay, c.Standbys = ms(o.InitialDelayMs), int(o.StandbyReplicas)
	return &c
}

// intervalOf is how long a group keeps an assignment at least.
func (m *Machine) intervalOf(g *group, c *consumer) time.Duration {
	if c.shares != nil {
		return m.shares(g.id).AssignmentInterval
	}
	return m.consumers(g.id).AssignmentInterval
}

func ms(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
