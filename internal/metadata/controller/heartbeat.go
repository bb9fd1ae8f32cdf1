package controller

import (
	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// Heartbeat is what a node tells the active controller again and again.
type Heartbeat struct {
	ID       model.BrokerID
	Epoch    int64  // its broker epoch
	Applied  uint64 // the last entry of the metadata log that it has applied
	WantStop bool   // it is to be stopped: hand over what it leads
	Stopped  bool   // it stops now, whatever it still leads
}

// HeartbeatReply says what the controller takes the node for, once the commands are applied.
type HeartbeatReply struct {
	CaughtUp bool // it knows the metadata up to its own registration
	Fenced   bool
	Stopping bool
	// MayStop tells a stopping node that no partition is left that another replica could soon take over.
	MayStop bool
	// Waiting is how many such partitions are left.
	Waiting int
	// AsOf is the metadata entry as of which this is so. A node whose session has ended may have been fenced before it, and others lead: the session
	// holds again when the node has applied that (R6). The controller's shell fills it in.
	AsOf uint64
}

// HandleHeartbeat decides what a heartbeat changes: a node that has caught up with the metadata goes into service; one that
// wants to stop hands over. Most heartbeats change nothing. Sessions are kept apart from it, by Sessions.
func HandleHeartbeat(in Inputs, h Heartbeat) ([]*command.Command, HeartbeatReply, error) {
	n, refusal := registered(in.Image, h.ID, h.Epoch)
	if refusal != nil {
		return nil, HeartbeatReply{}, refusal
	}
	reply := HeartbeatReply{CaughtUp: h.Applied >= uint64(n.Epoch), Fenced: n.Fenced, Stopping: n.Stopping}
	switch {
	case h.Stopped:
		commands, err := FenceNodes(in, h.ID)
		reply.Fenced, reply.MayStop = true, true
		return commands, reply, err
	case h.WantStop && n.Fenced:
		reply.MayStop = true // it leads nothing
		return nil, reply, nil
	case h.WantStop:
		commands, _, err := stop(in, n)
		if err != nil {
			return nil, HeartbeatReply{}, err
		}
		after, err := in.after(commands)
		if err != nil {
			return nil, HeartbeatReply{}, err
		}
		_, waiting, err := stop(after, after.Image.Node(h.ID))
		reply.Stopping, reply.Waiting, reply.MayStop = true, waiting, waiting == 0
		return commands, reply, err
	case n.Fenced && !n.Stopping && reply.CaughtUp:
		commands, err := UnfenceNode(in, h.ID, h.Epoch)
		reply.Fenced = false
		return commands, reply, err
	}
	return nil, reply, nil
}
