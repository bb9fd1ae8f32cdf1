package group

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ConsumerConfig is what the broker's keys say of groups of the new protocol (KIP-848). What is zero has Kafka's default.
type ConsumerConfig struct {
	Session, MinSession, MaxSession       time.Duration // group.consumer.session.timeout.ms and its bounds
	Heartbeat, MinHeartbeat, MaxHeartbeat time.Duration // group.consumer.heartbeat.interval.ms and its bounds
	MaxSize                               int           // group.consumer.max.size
	Assignors                             []string      // group.consumer.assignors: the first one is for groups whose members prefer none
	Migration                             Migration     // group.consumer.migration.policy
	RegexRefresh                          time.Duration // group.consumer.regex.refresh.interval.ms
	AssignmentInterval                    time.Duration // group.consumer.assignment.interval.ms; zero: each new epoch is assigned at once
}

// Kafka's defaults.
const (
	defaultSession, defaultMaxSession     = 45 * time.Second, 60 * time.Second
	defaultHeartbeat, defaultMaxHeartbeat = 5 * time.Second, 15 * time.Second
	defaultRegexRefresh                   = 10 * time.Minute
)

var defaultAssignors = []string{"uniform", "range"}

func (c *ConsumerConfig) session() time.Duration {
	least, most := cmp.Or(c.MinSession, defaultSession), cmp.Or(c.MaxSession, defaultMaxSession)
	return min(max(cmp.Or(c.Session, defaultSession), least), max(least, most))
}

func (c *ConsumerConfig) heartbeat() time.Duration {
	least, most := cmp.Or(c.MinHeartbeat, defaultHeartbeat), cmp.Or(c.MaxHeartbeat, defaultMaxHeartbeat)
	return min(max(cmp.Or(c.Heartbeat, defaultHeartbeat), least), max(least, most))
}

func (c *ConsumerConfig) full(members int) bool { return c.MaxSize > 0 && members >= c.MaxSize }

func (c *ConsumerConfig) regexRefresh() time.Duration {
	return cmp.Or(c.RegexRefresh, defaultRegexRefresh)
}

func (c *ConsumerConfig) assignors() []string {
	if len(c.Assignors) == 0 {
		return defaultAssignors
	}
	return c.Assignors
}

func (c *ConsumerConfig) offers(assignor string) bool {
	return slices.Contains(c.assignors(), assignor)
}

// Migration is which groups change from one protocol to the other while they have members.
type Migration uint8

// The policies, with Kafka's names.
const (
	Bidirectional Migration = iota
	Upgrade                 // classic groups become consumer groups
	Downgrade               // consumer groups become classic groups
	Disabled
)

// ParseMigration reads the policy's name, in any case.
func ParseMigration(s string) (Migration, error) {
	names := []string{"bidirectional", "upgrade", "downgrade", "disabled"}
	i := slices.Index(names, strings.ToLower(s))
	if i < 0 {
		return 0, fmt.Errorf("%q is no policy of migration: want one of %s", s, strings.Join(names, ", "))
	}
	return Migration(i), nil
}

func (m Migration) upgrades() bool   { return m == Bidirectional || m == Upgrade }
func (m Migration) downgrades() bool { return m == Bidirectional || m == Downgrade }
