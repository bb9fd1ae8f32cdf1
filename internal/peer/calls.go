package peer

import (
	"context"
	"fmt"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
)

// Register registers an incarnation of this broker and returns its broker epoch. Node and cluster of r are those of the link. To repeat it changes nothing, and so
// an outcome that is not known is tried again until the context ends.
func (c *Client) Register(ctx context.Context, r controller.Registration) (model.BrokerEpoch, error) {
	var a peerpb.RegisterReply
	_, err := c.do(ctx, Register, putRegistration(r), &a)
	if err != nil {
		return model.NoBrokerEpoch, err
	}
	return model.BrokerEpoch(a.BrokerEpoch), nil
}

// Heartbeat says that this broker is alive. It may be repeated.
func (c *Client) Heartbeat(ctx context.Context, h controller.Heartbeat) (controller.HeartbeatReply, error) {
	var a peerpb.HeartbeatReply
	_, err := c.do(ctx, Heartbeat, &peerpb.HeartbeatRequest{BrokerEpoch: h.Epoch, Applied: h.Applied, WantStop: h.WantStop, Stopped: h.Stopped}, &a)
	if err != nil {
		return controller.HeartbeatReply{}, err
	}
	return controller.HeartbeatReply{CaughtUp: a.CaughtUp, Fenced: a.Fenced, Stopping: a.Stopping, MayStop: a.MayStop, Waiting: int(a.Waiting), AsOf: a.AsOf}, nil
}

// AlterPartitions proposes ISR changes of partitions that this broker leads, as it is registered with that epoch. There is one answer for each
// change, in order; its State is that after the change, its Err a *controller.Refusal. After an error that is ErrUnknown any of them
// may have been made: the wider ISR counts until the metadata tells (R3).
func (c *Client) AlterPartitions(ctx context.Context, epoch model.BrokerEpoch, changes []controller.ISRChange) ([]controller.AlteredPartition, error) {
	var a peerpb.AlterPartitionsReply
	from, err := c.do(ctx, AlterPartitions, putChanges(epoch, changes), &a)
	if err != nil {
		return nil, err
	}
	out, err := getAltered(from, len(changes), &a)
	if err != nil {
		return nil, garbled(AlterPartitions, from, err)
	}
	return out, nil
}

// Resign asks that others lead what this broker cannot. There is one error, or nil, for each item, in order. After an error that is ErrUnknown any
// of them may have been done: the metadata tells.
func (c *Client) Resign(ctx context.Context, epoch model.BrokerEpoch, items []controller.Resignation) ([]error, error) {
	var a peerpb.ResignReply
	from, err := c.do(ctx, Resign, putResignations(epoch, items), &a)
	if err != nil {
		return nil, err
	}
	out, err := getOutcomes(from, len(items), &a)
	if err != nil {
		return nil, garbled(Resign, from, err)
	}
	return out, nil
}

// AllocateProducerIDs returns a block of producer IDs that nobody else has. A block whose answer is lost is lost too, and another one asked for.
func (c *Client) AllocateProducerIDs(ctx context.Context, epoch model.BrokerEpoch) (controller.ProducerIDBlock, error) {
	var a peerpb.AllocateProducerIdsReply
	from, err := c.do(ctx, AllocateProducerIDs, &peerpb.AllocateProducerIdsRequest{BrokerEpoch: int64(epoch)}, &a)
	if err != nil {
		return controller.ProducerIDBlock{}, err
	}
	if a.First < 0 || a.Count <= 0 {
		return controller.ProducerIDBlock{}, garbled(AllocateProducerIDs, from, ErrInvalid)
	}
	return controller.ProducerIDBlock{First: model.ProducerID(a.First), Count: a.Count}, nil
}

// Join has this broker taken into the metadata quorum. It may be repeated.
func (c *Client) Join(ctx context.Context, j JoinRequest) error {
	_, err := c.do(ctx, Join, &peerpb.JoinRequest{DirectoryId: j.Directory[:], Address: j.Address, Vote: j.Vote}, new(peerpb.JoinReply))
	return err
}

// Forward has the active controller answer a client's request, and returns the body of the response. It is made once: after an error that is ErrUnknown the
// client has to be told that it timed out.
func (c *Client) Forward(ctx context.Context, q ClientRequest) ([]byte, error) {
	var a peerpb.ForwardReply
	if _, err := c.do(ctx, Forward, putClientRequest(q), &a); err != nil {
		return nil, err
	}
	return a.Body, nil
}

// Transact asks one broker something about transactions or share partitions, and returns the body of the response. It is made once. After an error that is ErrUnknown it may
// have been done.
func (p *Pool) Transact(ctx context.Context, node model.BrokerID, q ClientRequest) ([]byte, error) {
	request, err := peerpb.Marshal(nil, putClientRequest(q))
	if err != nil {
		return nil, fmt.Errorf("%w: %v: %w", ErrInvalid, Transact, err)
	}
	body, err := p.call(ctx, node, Transact, request)
	if err != nil {
		return nil, outward(Transact, node, err)
	}
	var a peerpb.ForwardReply
	if err := peerpb.UnmarshalAnswer(body, &a); err != nil {
		return nil, garbled(Transact, node, err)
	}
	return a.Body, nil
}

// FindController asks one broker who the active controller is.
func (p *Pool) FindController(ctx context.Context, node model.BrokerID) (ControllerInfo, error) {
	body, err := p.call(ctx, node, FindController, nil)
	if err != nil {
		return ControllerInfo{}, outward(FindController, node, err)
	}
	var a peerpb.FindControllerReply
	if err := peerpb.UnmarshalAnswer(body, &a); err != nil {
		return ControllerInfo{}, garbled(FindController, node, err)
	}
	return ControllerInfo{Leader: brokerOrNone(a.Leader), Term: a.Term, Active: a.Active, Address: a.Address}, nil
}
