package api

import (
	"sync"

	"chronik/internal/model"
)

// offsetsAsked are commits in transactions for which the transaction's coordinator is being asked. Who has a turn of the group's coordinator ends them with the marker
// that ends the transaction; what another coordinator may have done in between shows in the leader epoch (T3).
type offsetsAsked struct {
	mu  sync.Mutex
	all map[offsetsKey]map[*offsetAsked]struct{}
}

type offsetsKey struct {
	partition int32 // of __consumer_offsets
	producer  model.ProducerID
}

// offsetAsked is one of them.
type offsetAsked struct {
	of    *offsetsAsked
	key   offsetsKey
	epoch model.LeaderEpoch // of the partition
	ended bool
}

// begin says that the coordinator is about to be asked. leave must follow.
func (o *offsetsAsked) begin(partition int32, producer model.ProducerID, epoch model.LeaderEpoch) *offsetAsked {
	a := &offsetAsked{of: o, key: offsetsKey{partition, producer}, epoch: epoch}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[offsetsKey]map[*offsetAsked]struct{})
	}
	if o.all[a.key] == nil {
		o.all[a.key] = make(map[*offsetAsked]struct{})
	}
	o.all[a.key][a] = struct{}{}
	return a
}

// end says that a marker is being written.
func (o *offsetsAsked) end(partition int32, producer model.ProducerID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for a := range o.all[offsetsKey{partition, producer}] {
		a.ended = true
	}
}

// over tells whether a marker was written since the begin, or may have been: epoch is the partition's now.
func (a *offsetAsked) over(epoch model.LeaderEpoch) bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	return a.ended || a.epoch != epoch
}

func (a *offsetAsked) leave() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	delete(a.of.all[a.key], a)
	if len(a.of.all[a.key]) == 0 {
		delete(a.of.all, a.key)
	}
}
