package node

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/shard"
)

// errNoShares is the answer to coordinators of share groups, which only a log that another server has written can have.
var errNoShares = errors.New("share groups are not served: no broker keeps the state of their partitions")

// groupEffect does what a coordinator of groups wants done elsewhere. It is called within the coordinator's turn.
func (n *Node) groupEffect(from runtime.Source[*group.Machine], e shard.Effect) {
	call := e.(*group.ShareCall)
	errs := slices.Repeat([]error{errNoShares}, len(call.Partitions))
	n.asking.Go(func() {
		from.Ask(func(m *group.Machine, now time.Time) shard.Result { return m.ShareAnswered(now, call, errs) }, func(error) {})
	})
}
