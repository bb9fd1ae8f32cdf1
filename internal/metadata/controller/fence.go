package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// FenceNodes takes nodes out of service, all in one decision, so that none of them takes over from another. They lead
// nothing, and leave each ISR in which another member can lead. Where none can, the ISR stays as it is: nobody
// appends, so all its members go on holding the same, and the first one that comes back may lead. Nodes that are not registered or already
// fenced are passed over.
func FenceNodes(in Inputs, ids ...model.BrokerID) ([]*command.Command, error) {
	roster, err := newRoster(in)
	if err != nil {
		return nil, err
	}
	var leaving []model.BrokerID
	var fence []*command.Command
	for _, id := range ids {
		n := in.Image.Node(id)
		if n == nil || n.Fenced || slices.Contains(leaving, id) {
			continue
		}
		roster.gone(id)
		leaving = append(leaving, id)
		fence = append(fence, command.Fence(id, n.Epoch, true))
	}
	if len(leaving) == 0 {
		return nil, nil
	}
	return append(roster.leave(leaving), fence...), nil
}

// leave moves leadership away from nodes that the roster no longer takes for active, and takes them out of the ISRs
// that have another active member.
func (r *roster) leave(ids []model.BrokerID) []*command.Command {
	out := newChanges()
	each(r.in.Image, func(t *image.Topic, n int32, p *image.Partition) {
		if !slices.ContainsFunc(ids, func(id model.BrokerID) bool { return p.Leader == id || slices.Contains(p.ISR, id) }) {
			return
		}
		v := r.revise(t, n)
		if rest := without(p.ISR, ids); slices.ContainsFunc(rest, func(id model.BrokerID) bool { return r.active[id] }) {
			v.next.ISR = rest
		}
		out.add(v)
	})
	return out.commands()
}

// UnfenceNode takes a fenced node into service. Partitions without a leader that it may lead get it.
func UnfenceNode(in Inputs, id model.BrokerID, epoch int64) ([]*command.Command, error) {
	n, refusal := registered(in.Image, id, epoch)
	if refusal != nil {
		return nil, refusal
	}
	if !n.Fenced || n.Stopping {
		return nil, nil
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, err
	}
	roster.back(id)
	return append([]*command.Command{command.Fence(id, epoch, false)}, roster.leaderless(id)...), nil
}

// ElectLeaderless tries again to find leaders for the partitions that have none: something that elections depend on may
// have changed, as unclean.leader.election.enable.
func ElectLeaderless(in Inputs) ([]*command.Command, error) {
	roster, err := newRoster(in)
	if err != nil {
		return nil, err
	}
	return roster.leaderless(model.NoBroker), nil
}

// leaderless elects for partitions without a leader that have a replica on the node; on any node for model.NoBroker.
func (r *roster) leaderless(id model.BrokerID) []*command.Command {
	out := newChanges()
	each(r.in.Image, func(t *image.Topic, n int32, p *image.Partition) {
		if p.Leader == model.NoBroker && (id == model.NoBroker || slices.Contains(p.Replicas, id)) {
			out.add(r.revise(t, n))
		}
	})
	return out.commands()
}

// stop begins a controlled shutdown, or goes on with it: leadership moves to other active ISR members as far as there are any, and
// the node leaves these ISRs. waiting is how many partitions the node still leads although another active replica is
// catching up, and could take over soon.
func stop(in Inputs, n *image.Node) (commands []*command.Command, waiting int, err error) {
	roster, err := newRoster(in)
	if err != nil {
		return nil, 0, err
	}
	roster.stopping(n.ID)
	if !n.Stopping {
		commands = append(commands, command.Stop(n.ID, n.Epoch))
	}
	commands = append(commands, roster.leave([]model.BrokerID{n.ID})...)
	each(in.Image, func(_ *image.Topic, _ int32, p *image.Partition) {
		other := func(id model.BrokerID) bool { return id != n.ID && roster.active[id] }
		if p.Leader == n.ID && slices.ContainsFunc(p.Replicas, other) {
			waiting++
		}
	})
	return commands, waiting, nil
}
