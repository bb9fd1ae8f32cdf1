package runtime

import (
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// Source is where an effect comes from: a machine, which what is done about it has to go back to. It may be used from any goroutine, after the call in
// which it was given.
type Source[M shard.Machine] struct{ s *seat[M] }

// Epoch is the leader epoch in which the machine decides.
func (s Source[M]) Epoch() model.LeaderEpoch { return s.s.epoch }

// Over is closed when the machine decides nothing any more: who has taken over begins anew.
func (s Source[M]) Over() <-chan struct{} { return s.s.gone }

// Ask is Coordinator.Ask for this machine, and no other. It is refused only when the machine decides nothing any more.
func (s Source[M]) Ask(decide func(m M, now time.Time) shard.Result, refuse func(error)) {
	s.s.ask(decide, refuse, anErrand)
}
