package config

import (
	"fmt"
	"strings"
)

// Group is what is in effect for one group. It is immutable and may be shared. Times are in milliseconds.
type Group struct {
	Consumer ConsumerGroup // while it is a group of the new protocol (KIP-848)
	Share    ShareGroup    // while it is a share group (KIP-932)
	Streams  StreamsGroup  // while it is a streams group (KIP-1071)
}

// ConsumerGroup is the part for groups of consumers.
type ConsumerGroup struct {
	SessionMs, HeartbeatMs, AssignmentIntervalMs int32
}

// ShareGroup is the part for share groups.
type ShareGroup struct {
	SessionMs, HeartbeatMs, AssignmentIntervalMs int32
	RecordLockMs                                 int32
	DeliveryLimit                                int32 // of a record
	MaxRecordLocks                               int32 // of a partition
	Reset                                        OffsetReset
	ReadCommitted                                bool
	Renew                                        bool // members may renew what they hold
}

// StreamsGroup is the part for streams groups.
type StreamsGroup struct {
	SessionMs, HeartbeatMs, AssignmentIntervalMs int32
	InitialDelayMs                               int32
	StandbyReplicas                              int32 // of each task
}

// Group returns what is in effect for a group with these values of its own: they are put over the broker's, and kept within the
// broker's bounds, which may have become narrower since they were set. The error names the first key, in alphabetical
// order, that is unknown or refused.
func (b *Broker) Group(own map[string]string) (*Group, error) {
	g, err := b.group(own)
	if err != nil {
		return nil, err
	}
	for _, n := range g.bounds(b) {
		*n.value = min(max(*n.value, n.least), max(n.least, n.most))
	}
	return g, nil
}

// CheckGroup refuses values that a group may not be given: unknown and invalid ones, those beyond the broker's bounds, and a session
// that is not longer than the interval of heartbeats. The message is Kafka's.
func (b *Broker) CheckGroup(own map[string]string) error {
	g, err := b.group(own)
	if err != nil {
		return err
	}
	for _, n := range g.bounds(b) {
		if _, ok := own[n.key]; !ok {
			continue
		}
		switch {
		case *n.value < n.least:
			return &ConflictError{fmt.Sprintf("%s must be greater than or equal to %s", n.key, n.brokerKey("min"))}
		case *n.value > n.most:
			return &ConflictError{fmt.Sprintf("%s must be less than or equal to %s", n.key, n.brokerKey("max"))}
		}
	}
	for _, kind := range []struct {
		name               string
		session, heartbeat int32
	}{
		{"consumer", g.Consumer.SessionMs, g.Consumer.HeartbeatMs},
		{"share", g.Share.SessionMs, g.Share.HeartbeatMs},
		{"streams", g.Streams.SessionMs, g.Streams.HeartbeatMs},
	} {
		if kind.session <= kind.heartbeat {
			return &ConflictError{fmt.Sprintf("%[1]s.session.timeout.ms must be greater than %[1]s.heartbeat.interval.ms", kind.name)}
		}
	}
	return nil
}

// group puts a group's own values over the broker's.
func (b *Broker) group(own map[string]string) (*Group, error) {
	c, s, t := &b.Groups.Consumer, &b.Groups.Share, &b.Groups.Streams
	g := &Group{
		Consumer: ConsumerGroup{SessionMs: c.SessionMs, HeartbeatMs: c.HeartbeatMs, AssignmentIntervalMs: c.AssignmentIntervalMs},
		Share: ShareGroup{SessionMs: s.SessionMs, HeartbeatMs: s.HeartbeatMs, AssignmentIntervalMs: s.AssignmentIntervalMs,
			RecordLockMs: s.RecordLockMs, DeliveryLimit: s.DeliveryLimit, MaxRecordLocks: s.MaxRecordLocks},
		Streams: StreamsGroup{SessionMs: t.SessionMs, HeartbeatMs: t.HeartbeatMs, AssignmentIntervalMs: t.AssignmentIntervalMs,
			InitialDelayMs: t.InitialDelayMs, StandbyReplicas: t.StandbyReplicas},
	}
	for _, k := range groupsOnly {
		k.setGroup(g, k.DefaultValue())
	}
	for _, name := range sortedKeys(own) {
		k, err := Lookup(ScopeGroup, name)
		if err != nil {
			return nil, err
		}
		v, err := k.Parse(own[name])
		if err != nil {
			return nil, err
		}
		k.setGroup(g, v)
	}
	return g, nil
}

// groupsOnly are the keys of groups that no broker key supplies.
var groupsOnly = func() (keys []*Key) {
	for i := range GroupKeys {
		if k := &GroupKeys[i]; len(k.Synonyms) == 0 {
			keys = append(keys, k)
		}
	}
	return keys
}()

// bound keeps one value of a group between two of the broker's.
type bound struct {
	key         string
	value       *int32
	least, most int32
}

// brokerKey names the key of the lower ("min") or upper ("max") bound.
func (n bound) brokerKey(which string) string {
	kind, rest, _ := strings.Cut(n.key, ".")
	return "group." + kind + "." + which + "." + strings.TrimPrefix(rest, "num.")
}

// bounds lists them in the order in which Kafka checks them.
func (g *Group) bounds(b *Broker) []bound {
	c, s, t := &b.Groups.Consumer, &b.Groups.Share, &b.Groups.Streams
	return []bound{
		{"consumer.heartbeat.interval.ms", &g.Consumer.HeartbeatMs, c.MinHeartbeatMs, c.MaxHeartbeatMs},
		{"consumer.session.timeout.ms", &g.Consumer.SessionMs, c.MinSessionMs, c.MaxSessionMs},
		{"consumer.assignment.interval.ms", &g.Consumer.AssignmentIntervalMs, c.MinAssignmentIntervalMs, c.MaxAssignmentIntervalMs},
		{"share.heartbeat.interval.ms", &g.Share.HeartbeatMs, s.MinHeartbeatMs, s.MaxHeartbeatMs},
		{"share.session.timeout.ms", &g.Share.SessionMs, s.MinSessionMs, s.MaxSessionMs},
		{"share.record.lock.duration.ms", &g.Share.RecordLockMs, s.MinRecordLockMs, s.MaxRecordLockMs},
		{"share.delivery.count.limit", &g.Share.DeliveryLimit, s.MinDeliveryLimit, s.MaxDeliveryLimit},
		{"share.partition.max.record.locks", &g.Share.MaxRecordLocks, s.MinMaxRecordLocks, s.MaxMaxRecordLocks},
		{"share.assignment.interval.ms", &g.Share.AssignmentIntervalMs, s.MinAssignmentIntervalMs, s.MaxAssignmentIntervalMs},
		{"streams.heartbeat.interval.ms", &g.Streams.HeartbeatMs, t.MinHeartbeatMs, t.MaxHeartbeatMs},
		{"streams.session.timeout.ms", &g.Streams.SessionMs, t.MinSessionMs, t.MaxSessionMs},
		{"streams.num.standby.replicas", &g.Streams.StandbyReplicas, 0, t.MaxStandbyReplicas},
		{"streams.assignment.interval.ms", &g.Streams.AssignmentIntervalMs, t.MinAssignmentIntervalMs, t.MaxAssignmentIntervalMs},
	}
}
