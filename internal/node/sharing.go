package node

import (
	"sync/atomic"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharing"
	"chronik/internal/config"
)

// sharingMemory is how many bytes of records may be on their way to members of share groups, in memory.
const sharingMemory = 64 << 20

// openSharing makes what serves share groups from the partitions that this node leads. It is before the first image.
func (n *Node) openSharing() {
	n.sharing = sharing.New(sharing.Options{
		Node: n.settings.NodeID, State: n.shareStates, Config: n.sharingConfig(), Memory: sharingMemory, Log: n.env.Log,
		Sessions: func() int { return int(n.follower.broker().Groups.Share.MaxShareSessions) },
	})
}

// sharingConfig returns what tells a share group's configuration. It is asked for with each look at a share partition, so what is in effect for groups
// without values of their own is kept.
func (n *Node) sharingConfig() func(group string) sharing.Config {
	type defaults struct {
		of *config.Broker
		is sharing.Config
	}
	var kept atomic.Pointer[defaults]
	return func(group string) sharing.Config {
		b := n.follower.broker()
		own := n.quorum.Images().Load().GroupConfigs(group)
		if d := kept.Load(); own == nil && d != nil && d.of == b {
			return d.is
		}
		g, err := b.Group(own)
		if err != nil { // a key that this version does not know any more
			n.env.Log.Error("a share group's stored configuration cannot be used: it has the broker's defaults; correct it with kafka-configs", "group", group, "error", err)
			own = nil
			if g, err = b.Group(nil); err != nil {
				return sharing.Config{}
			}
		}
		c := sharingOf(&g.Share)
		if own == nil {
			kept.Store(&defaults{b, c})
		}
		return c
	}
}

// sharingOf is what a group's keys mean.
func sharingOf(g *config.ShareGroup) sharing.Config {
	c := sharing.Config{
		Config: sharepartition.Config{
			LockDuration: time.Duration(g.RecordLockMs) * time.Millisecond, MaxDeliveries: int16(g.DeliveryLimit), MaxInFlight: int(g.MaxRecordLocks), Renew: g.Renew,
		},
		Committed: g.ReadCommitted,
	}
	switch g.Reset.Kind {
	case config.ResetLatest:
		c.Reset.Latest = true
	case config.ResetByDuration:
		c.Reset = sharepartition.Reset{Ago: g.Reset.Before, Latest: g.Reset.Before == 0}
	}
	return c
}
