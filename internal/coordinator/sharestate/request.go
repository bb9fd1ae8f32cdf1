package sharestate

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// Op is what is asked about a share partition.
type Op uint8

// What can be asked: Machine's methods of these names.
const (
	Initialize Op = iota
	Read
	Write
	Delete
	Summarize
)

// String names it for log lines.
func (o Op) String() string {
	switch o {
	case Initialize:
		return "initialize"
	case Read:
		return "read"
	case Write:
		return "write"
	case Delete:
		return "delete"
	case Summarize:
		return "summarize"
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// repeatable tells whether to do it again later does no harm, whatever happened in between.
func (o Op) repeatable() bool { return o != Initialize && o != Delete }

// Request is one thing to ask about one share partition. Of the fields each Op has its own: Initialize StateEpoch and Start, Read LeaderEpoch,
// Write all.
type Request struct {
	Op Op
	share.WriteRequest
}

// Answer is what a coordinator says. State is that of Read and of Summarize, which has no batches.
type Answer struct {
	State share.State
	Err   error
}

// Coordinator is the share partitions that this broker coordinates. *runtime.Coordinator[*share.Machine] implements it.
type Coordinator interface {
	Ask(key string, decide func(m *share.Machine, now time.Time) shard.Result, refuse func(error))
}

// Ask has this broker's coordinator decide. It does not wait; answer is called once, and must not block.
func Ask(c Coordinator, r Request, answer func(Answer)) {
	failed := func(err error) { answer(Answer{Err: err}) }
	stated := func(s share.State, err error) { answer(Answer{s, err}) }
	c.Ask(r.Key.Coordinated(), func(m *share.Machine, now time.Time) shard.Result {
		switch r.Op {
		case Initialize:
			return m.Initialize(now, share.InitializeRequest{Key: r.Key, StateEpoch: r.StateEpoch, Start: r.Start}, failed)
		case Read:
			return m.Read(now, share.ReadRequest{Key: r.Key, LeaderEpoch: r.LeaderEpoch}, stated)
		case Write:
			return m.Write(now, r.WriteRequest, failed)
		case Delete:
			return m.Delete(r.Key, failed)
		case Summarize:
			return m.Summarize(r.Key, stated)
		}
		failed(fmt.Errorf("%w: %v", share.ErrInvalid, r.Op))
		return shard.Result{Sees: model.NoOffset}
	}, failed)
}

// final tells whether whoever coordinates the share partition will say the same next time. Else it is a matter of who does, or of its log.
func final(err error) bool {
	for _, e := range []error{share.ErrInvalid, share.ErrUninitialized, share.ErrFencedLeaderEpoch, share.ErrFencedStateEpoch, shard.ErrTooLarge} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err == nil
}
