package group

import (
	"cmp"
	"time"
)

// ShareConfig is what the broker's keys say of share groups. What is zero has Kafka's default, but for AssignmentInterval.
type ShareConfig struct {
	Session, MinSession, MaxSession       time.Duration // group.share.session.timeout.ms and its bounds
	Heartbeat, MinHeartbeat, MaxHeartbeat time.Duration // group.share.heartbeat.interval.ms and its bounds
	MaxSize                               int           // group.share.max.size
	AssignmentInterval                    time.Duration // group.share.assignment.interval.ms; zero: each new epoch is assigned at once
}

const defaultShareSize = 200

// pace is the part that is as groups of consumers have it, with the same defaults.
func (c *ShareConfig) pace() *ConsumerConfig {
	return &ConsumerConfig{
		Session: c.Session, MinSession: c.MinSession, MaxSession: c.MaxSession,
		Heartbeat: c.Heartbeat, MinHeartbeat: c.MinHeartbeat, MaxHeartbeat: c.MaxHeartbeat,
	}
}

func (c *ShareConfig) session() time.Duration   { return c.pace().session() }
func (c *ShareConfig) heartbeat() time.Duration { return c.pace().heartbeat() }

func (c *ShareConfig) full(members int) bool { return members >= cmp.Or(c.MaxSize, defaultShareSize) }
