package sim

import (
	"chronik/internal/metadata/command"
	"chronik/internal/quorum"
	"chronik/internal/replication"
)

// bugs are rules that are broken on purpose, to see that it is found out. The cores are not told: their shell lies to them, or
// does not do what they say.
type bugs struct {
	skipTruncation bool // R2: a follower does not cut its log
	ackBeforeSync  bool // D1: a follower acknowledges as durable what it has only appended
	quorum         quorum.Broken
}

// ack is a follower's acknowledgement on its way.
func (b *bugs) ack(a replication.Ack) replication.Ack {
	if b.ackBeforeSync {
		a.Own.Synced = a.Own.End
	}
	return a
}

// commands are the controller's on their way to the log.
func (b *bugs) commands(list []*command.Command) []*command.Command { return list }
