package node

import (
	"time"

	"chronik/internal/config"
	"chronik/internal/coordinator/group"
	"chronik/internal/invariant"
)

// groupConfig is what the broker's keys mean for groups.
func groupConfig(b *config.Broker) group.Config {
	g := &b.Groups
	return group.Config{
		MinSessionMs: g.MinSessionMs, MaxSessionMs: g.MaxSessionMs, InitialDelay: millis(g.InitialDelayMs),
		MaxSize: int(g.MaxSize), MaxMetadataBytes: int(g.MaxMetadataBytes),
		Retention: time.Duration(g.RetentionMinutes) * time.Minute, SweepEvery: time.Duration(g.RetentionCheckMs) * time.Millisecond,
		Consumer: consumerConfig(&g.Consumer), Share: shareGroupConfig(&g.Share), Streams: streamsConfig(&g.Streams),
		Own: func(values map[string]string) *config.Group {
			own, err := b.Group(values)
			if err != nil { // the follower has said so
				return nil
			}
			return own
		},
	}
}

func consumerConfig(c *config.ConsumerGroups) group.ConsumerConfig {
	migration, err := group.ParseMigration(c.Migration)
	if err != nil { // the table of keys has let it pass
		invariant.Failf("group.consumer.migration.policy: %v", err)
	}
	return group.ConsumerConfig{
		Session: millis(c.SessionMs), MinSession: millis(c.MinSessionMs), MaxSession: millis(c.MaxSessionMs),
		Heartbeat: millis(c.HeartbeatMs), MinHeartbeat: millis(c.MinHeartbeatMs), MaxHeartbeat: millis(c.MaxHeartbeatMs),
		MaxSize: int(c.MaxSize), Assignors: c.Assignors, Migration: migration,
		AssignmentInterval: between(c.AssignmentIntervalMs, c.MinAssignmentIntervalMs, c.MaxAssignmentIntervalMs),
	}
}

func shareGroupConfig(c *config.ShareGroups) group.ShareConfig {
	return group.ShareConfig{
		Session: millis(c.SessionMs), MinSession: millis(c.MinSessionMs), MaxSession: millis(c.MaxSessionMs),
		Heartbeat: millis(c.HeartbeatMs), MinHeartbeat: millis(c.MinHeartbeatMs), MaxHeartbeat: millis(c.MaxHeartbeatMs),
		MaxSize: int(c.MaxSize), AssignmentInterval: between(c.AssignmentIntervalMs, c.MinAssignmentIntervalMs, c.MaxAssignmentIntervalMs),
	}
}

func streamsConfig(c *config.StreamsGroups) group.StreamsConfig {
	return group.StreamsConfig{
		Session: millis(c.SessionMs), MinSession: millis(c.MinSessionMs), MaxSession: millis(c.MaxSessionMs),
		Heartbeat: millis(c.HeartbeatMs), MinHeartbeat: millis(c.MinHeartbeatMs), MaxHeartbeat: millis(c.MaxHeartbeatMs),
		MaxSize: int(c.MaxSize), InitialDelay: millis(c.InitialDelayMs), Standbys: int(c.StandbyReplicas), MaxStandbys: int(c.MaxStandbyReplicas),
		AssignmentInterval: between(c.AssignmentIntervalMs, c.MinAssignmentIntervalMs, c.MaxAssignmentIntervalMs),
	}
}

func millis(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// between is a time within bounds, in milliseconds.
func between(n, least, most int32) time.Duration { return millis(min(max(n, least), max(least, most))) }
