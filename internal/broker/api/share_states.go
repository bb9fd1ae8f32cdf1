package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/model"
)

// ShareStates asks whoever keeps the state of a share partition, on whichever broker that is. *sharestate.Client implements it.
type ShareStates interface {
	// Summarize returns what is known of a share partition but for its batches. It does not wait; answer is called once, on any goroutine.
	Summarize(k share.Key, answer func(share.State, error))
}

// noShares keeps the state of nothing.
type noShares struct{}

func (noShares) Ask(_ string, _ func(*share.Machine, time.Time) shard.Result, refuse func(error)) {
	refuse(shard.ErrNotCoordinator)
}

func (noShares) Summarize(_ share.Key, answer func(share.State, error)) {
	answer(share.State{}, sharestate.ErrUnavailable)
}

// shareAsking is what one of the requests 83 to 87 asks, partition by partition. Kafka answers nothing at all if the request lacks a group, topics, or partitions
// of a topic; here a topic that lacks them is left out.
type shareAsking struct{ all []shareAnswer }

// shareAnswer is what is asked about one share partition, and the answer.
type shareAnswer struct {
	sharestate.Request
	sharestate.Answer
}

func (a *shareAsking) add(op sharestate.Op, r share.WriteRequest) {
	a.all = append(a.all, shareAnswer{Request: sharestate.Request{Op: op, WriteRequest: r}})
}

// answered has the coordinators of this broker decide, and yields the answers by topics in the order in which they were asked for.
func (a *shareAsking) answered(ctx context.Context, b *Broker, group string) iter.Seq2[model.TopicID, []shareAnswer] {
	if group == "" {
		return func(func(model.TopicID, []shareAnswer) bool) {}
	}
	waits := make([]chan sharestate.Answer, len(a.all))
	for i := range a.all {
		wait := make(chan sharestate.Answer, 1)
		waits[i] = wait
		a.all[i].Request.Key.Group = group
		sharestate.Ask(b.Shares, a.all[i].Request, func(x sharestate.Answer) { wait <- x })
	}
	for i, wait := range waits {
		select {
		case a.all[i].Answer = <-wait:
		case <-ctx.Done():
			a.all[i].Answer.Err = shard.ErrTimedOut
		}
	}
	return byTopic(a.all, func(x *shareAnswer) model.TopicID { return x.Request.Key.TopicID })
}

// byTopic yields neighbours of one topic together.
func byTopic[T any](all []T, topic func(*T) model.TopicID) iter.Seq2[model.TopicID, []T] {
	return func(yield func(model.TopicID, []T) bool) {
		for rest := all; len(rest) > 0; {
			id, n := topic(&rest[0]), 1
			for n < len(rest) && topic(&rest[n]) == id {
				n++
			}
			if !yield(id, rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// requested yields requests to another broker by topics.
func requested(all []sharestate.Request) iter.Seq2[model.TopicID, []sharestate.Request] {
	return byTopic(all, func(r *sharestate.Request) model.TopicID { return r.Key.TopicID })
}

// shareCode is the Kafka error code of what a coordinator of share partitions, or of a share group about partitions, has answered. Unlike groupCode it leaves as they are
// the codes that are about the partition and not about the coordinator's log.
func shareCode(err error) int16 {
	for _, e := range []error{share.ErrUnknownPartition, group.ErrUnknownPartition, group.ErrNoShareOffsets, share.ErrFencedLeaderEpoch} {
		if errors.Is(err, e) {
			return Code(err)
		}
	}
	return groupCode(err)
}

// shareError is the error of what another broker has answered.
func shareError(op sharestate.Op, code int16, text *string) error {
	var err error
	switch code {
	case 0:
		return nil
	case kerr.FencedLeaderEpoch.Code:
		err = share.ErrFencedLeaderEpoch
	case kerr.FencedStateEpoch.Code:
		err = share.ErrFencedStateEpoch
	case kerr.UnknownTopicOrPartition.Code:
		err = share.ErrUnknownPartition
	case kerr.InvalidRequest.Code:
		if err = share.ErrInvalid; op == sharestate.Read || op == sharestate.Write { // what brokers send is valid but for this
			err = share.ErrUninitialized
		}
	default:
		err = kafkaError(code)
	}
	if text == nil {
		return err
	}
	return fmt.Errorf("%w (%s)", err, *text)
}

// SendShareStates has another broker's coordinators decide: it is sharestate.Options.Send.
func (b *Broker) SendShareStates(ctx context.Context, to model.BrokerID, all []sharestate.Request) ([]sharestate.Answer, error) {
	op := all[0].Op
	ask := map[sharestate.Op]func(string, []sharestate.Request) kmsg.Request{
		sharestate.Initialize: askInitialize, sharestate.Read: askRead, sharestate.Write: askWrite, sharestate.Delete: askDelete,
		sharestate.Summarize: askSummaries,
	}[op]
	answer, err := b.callBroker(ctx, to, ask(all[0].Key.Group, all))
	if err != nil {
		return nil, err
	}
	switch resp := answer.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		return initialized(resp), nil
	case *kmsg.ReadShareGroupStateResponse:
		return readStates(resp, all), nil
	case *kmsg.WriteShareGroupStateResponse:
		return writtenStates(resp), nil
	case *kmsg.DeleteShareGroupStateResponse:
		return deletedStates(resp), nil
	case *kmsg.ReadShareGroupStateSummaryResponse:
		return summaries(resp), nil
	}
	return nil, errOtherAnswer
}
