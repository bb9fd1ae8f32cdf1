package group

import "time"

// StreamsConfig is what the broker's keys say of streams groups (KIP-1071). What is zero has Kafka's default, but for those where zero means that there is
// none: AssignmentInterval, InitialDelay, Standbys, MaxStandbys, MaxSize.
type StreamsConfig struct {
	Session, MinSession, MaxSession       time.Duration // group.streams.session.timeout.ms and its bounds
	Heartbeat, MinHeartbeat, MaxHeartbeat time.Duration // group.streams.heartbeat.interval.ms and its bounds
	MaxSize                               int           // group.streams.max.size; zero: any
	AssignmentInterval                    time.Duration // group.streams.assignment.interval.ms; zero: each new epoch is assigned at once
	InitialDelay                          time.Duration // group.streams.initial.rebalance.delay.ms
	Standbys, MaxStandbys                 int           // group.streams.num.standby.replicas, and group.streams.max.standby.replicas
}

// pace is the part that is as groups of consumers have it, with the same defaults.
func (c *StreamsConfig) pace() *ConsumerConfig {
	return &ConsumerConfig{
		Session: c.Session, MinSession: c.MinSession, MaxSession: c.MaxSession,
		Heartbeat: c.Heartbeat, MinHeartbeat: c.MinHeartbeat, MaxHeartbeat: c.MaxHeartbeat,
	}
}

func (c *StreamsConfig) session() time.Duration   { return c.pace().session() }
func (c *StreamsConfig) heartbeat() time.Duration { return c.pace().heartbeat() }
func (c *StreamsConfig) full(members int) bool    { return c.MaxSize > 0 && members >= c.MaxSize }
func (c *StreamsConfig) standbys() int            { return min(c.Standbys, c.MaxStandbys) }
