package peer

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
)

// handle does one call: it reads the request, asks the handler, and returns the answer.
func (h *Handlers) handle(ctx context.Context, from Caller, m Method, body []byte) (proto.Message, error) {
	rules, ok := methods[m]
	switch {
	case !ok || rules.since > from.Version:
		return nil, fmt.Errorf("%w: method %d in version %d", ErrUnsupported, m, from.Version)
	case len(body) > rules.maxBody:
		return nil, fmt.Errorf("%w: a request of %d bytes, the most is %d", ErrInvalid, len(body), rules.maxBody)
	case from.ClusterID == "" && !rules.stranger:
		return nil, fmt.Errorf("%w: node %d belongs to no cluster yet, and may ask what is here, no more", ErrInvalid, from.Node)
	}
	switch {
	case m == Probe || m == FindController:
		return h.inform(m, body)
	case m == Forward:
		return h.forward(ctx, from, body)
	case m == Transact:
		return h.transact(ctx, from, body)
	case h.Controller == nil:
		return nil, fmt.Errorf("%w: %v", ErrUnsupported, m)
	}
	return control(ctx, h.Controller, from, m, body)
}

// inform answers what any broker knows.
func (h *Handlers) inform(m Method, body []byte) (proto.Message, error) {
	if h.Informant == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnsupported, m)
	}
	if m == Probe {
		if err := peerpb.Unmarshal(body, new(peerpb.ProbeRequest)); err != nil {
			return nil, err
		}
		return putPossession(h.Informant.Possession()), nil
	}
	if err := peerpb.Unmarshal(body, new(peerpb.FindControllerRequest)); err != nil {
		return nil, err
	}
	c := h.Informant.ActiveController()
	return &peerpb.FindControllerReply{Leader: int32(c.Leader), Term: c.Term, Active: c.Active, Address: c.Address}, nil
}

func (h *Handlers) forward(ctx context.Context, from Caller, body []byte) (proto.Message, error) {
	if h.Forwarder == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnsupported, Forward)
	}
	return serve(ctx, from, body, h.Forwarder.Forward)
}

func (h *Handlers) transact(ctx context.Context, from Caller, body []byte) (proto.Message, error) {
	if h.Transactor == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnsupported, Transact)
	}
	return serve(ctx, from, body, h.Transactor.Transact)
}

// serve answers a request that is Kafka's.
func serve(ctx context.Context, from Caller, body []byte, answer func(context.Context, Caller, ClientRequest) ([]byte, error)) (proto.Message, error) {
	var q peerpb.ForwardRequest
	if err := peerpb.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	request, err := getClientRequest(&q)
	if err != nil {
		return nil, err
	}
	response, err := answer(ctx, from, request)
	return &peerpb.ForwardReply{Body: response}, err
}

// control answers what only the active controller can.
func control(ctx context.Context, c Controller, from Caller, m Method, body []byte) (proto.Message, error) {
	switch m {
	case Join:
		var q peerpb.JoinRequest
		return decide(body, &q, func() (JoinRequest, error) {
			var r reader
			j := JoinRequest{Directory: r.id(q.DirectoryId, "the directory"), Address: q.Address, Vote: q.Vote}
			return j, r.err
		}, func(j JoinRequest) (proto.Message, error) { return &peerpb.JoinReply{}, c.Join(ctx, from, j) })
	case Register:
		var q peerpb.RegisterRequest
		return decide(body, &q, func() (controller.Registration, error) { return getRegistration(from, &q) },
			func(r controller.Registration) (proto.Message, error) {
				epoch, err := c.Register(ctx, from, r)
				return &peerpb.RegisterReply{BrokerEpoch: int64(epoch)}, err
			})
	case Heartbeat:
		var q peerpb.HeartbeatRequest
		return decide(body, &q, func() (controller.Heartbeat, error) {
			return controller.Heartbeat{ID: from.Node, Epoch: q.BrokerEpoch, Applied: q.Applied, WantStop: q.WantStop, Stopped: q.Stopped}, nil
		}, func(h controller.Heartbeat) (proto.Message, error) {
			a, err := c.Heartbeat(ctx, from, h)
			return &peerpb.HeartbeatReply{CaughtUp: a.CaughtUp, Fenced: a.Fenced, Stopping: a.Stopping, MayStop: a.MayStop, Waiting: int64(a.Waiting), AsOf: a.AsOf}, err
		})
	case AlterPartitions:
		var q peerpb.AlterPartitionsRequest
		return decide(body, &q, func() ([]controller.ISRChange, error) { return getChanges(&q) },
			func(changes []controller.ISRChange) (proto.Message, error) {
				a, err := c.AlterPartitions(ctx, from, model.BrokerEpoch(q.BrokerEpoch), changes)
				return putAltered(a), err
			})
	case Resign:
		var q peerpb.ResignRequest
		return decide(body, &q, func() ([]controller.Resignation, error) { return getResignations(&q) },
			func(items []controller.Resignation) (proto.Message, error) {
				errs, err := c.Resign(ctx, from, model.BrokerEpoch(q.BrokerEpoch), items)
				return putOutcomes(errs), err
			})
	case AllocateProducerIDs:
		var q peerpb.AllocateProducerIdsRequest
		return decide(body, &q, func() (model.BrokerEpoch, error) { return model.BrokerEpoch(q.BrokerEpoch), nil },
			func(epoch model.BrokerEpoch) (proto.Message, error) {
				b, err := c.AllocateProducerIDs(ctx, from, epoch)
				return &peerpb.AllocateProducerIdsReply{First: int64(b.First), Count: b.Count}, err
			})
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, m)
}

// decide reads a message, then what it means, and has it done.
func decide[Q any](body []byte, message proto.Message, read func() (Q, error), do func(Q) (proto.Message, error)) (proto.Message, error) {
	if err := peerpb.Unmarshal(body, message); err != nil {
		return nil, err
	}
	q, err := read()
	if err != nil {
		return nil, err
	}
	return do(q)
}
