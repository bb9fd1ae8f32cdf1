package controller

import (
	"cmp"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Registration is what a node says about itself when it starts.
type Registration struct {
	ClusterID   string
	ID          model.BrokerID
	Incarnation image.UUID
	Directory   image.UUID
	Endpoints   []image.Endpoint
	Rack        string

	// Of a node of a cluster.

	Features  []image.FeatureRange // what its program supports, by name
	Follows   int64                // epoch of the registration before, as far as the node's metadata tell; 0: of none
	CleanStop bool                 // the incarnation before closed all its logs
	Cuts      []Cut                // else, the logs that lost their tails (L2)
}

// Cut says that recovery cut the log of a partition, and the end that is left.
type Cut struct {
	Topic     model.TopicID
	Partition int32
	End       model.Offset
}

// RegisterNode decides about a registration. The node's broker epoch is then the index at which the commands are
// applied. Repeating the same incarnation gives no commands.
//
// A node alone is in service at once. In a cluster it starts fenced, and loses what its new incarnation can no longer
// answer for; see reregister.
func RegisterNode(in Inputs, r Registration) ([]*command.Command, error) {
	if r.ClusterID != in.Image.ClusterID() {
		return nil, refuse(OtherCluster, "Node %d belongs to cluster %s, this is cluster %s: give it a data directory of this cluster, or an empty one.",
			r.ID, r.ClusterID, in.Image.ClusterID())
	}
	add := r.command(in.Image.Clustered())
	if err := command.CheckNode(add); err != nil {
		return nil, refuse(InvalidRequest, "The registration of node %d is not complete: %v", r.ID, err)
	}
	old := in.Image.Node(r.ID)
	if old != nil && old.Incarnation == r.Incarnation {
		return nil, nil
	}
	if in.Image.Clustered() {
		return reregister(in, old, r, add)
	}
	led, holds := partitionsOf(in.Image, r.ID)
	if old != nil && old.Directory != r.Directory && holds > 0 {
		// R7 asks for its removal from every ISR first; a node alone would lose all that it has.
		return nil, refuse(DuplicateBroker, "Node %d has another data directory than before (%s, was %s) and %d partitions have replicas on it: "+
			"start it with its old directory, or delete these topics first.", r.ID, r.Directory, old.Directory, holds)
	}
	return append([]*command.Command{command.Add(add)}, led...), nil
}

func (r Registration) command(clustered bool) *command.AddNode {
	add := &command.AddNode{NodeId: int32(r.ID), IncarnationId: r.Incarnation[:], DirectoryId: r.Directory[:], Rack: r.Rack}
	for _, e := range r.Endpoints {
		add.Endpoints = append(add.Endpoints, &command.Endpoint{Listener: e.Listener, Host: e.Host, Port: uint32(e.Port), SecurityProtocol: e.SecurityProtocol})
	}
	if !clustered {
		return add
	}
	add.Fenced = true
	for _, f := range slices.SortedFunc(slices.Values(r.Features), func(a, b image.FeatureRange) int { return cmp.Compare(a.Name, b.Name) }) {
		add.Features = append(add.Features, &command.FeatureRange{Name: f.Name, MinLevel: int32(f.Min), MaxLevel: int32(f.Max)})
	}
	return add
}

// partitionsOf returns a new leader epoch for each replicated partition that the node leads (R1), and how many partitions
// have a replica on it.
func partitionsOf(m *image.Image, id model.BrokerID) (epochs []*command.Command, holds int) {
	each(m, func(t *image.Topic, n int32, p *image.Partition) {
		if !slices.Contains(p.Replicas, id) {
			return
		}
		holds++
		if p.Leader == id && len(p.Replicas) > 1 {
			epochs = append(epochs, command.Lead(&command.SetPartitionLeader{TopicId: t.ID[:], Partition: n, ExpectedPartitionEpoch: p.PartitionEpoch,
				Leader: int32(id), Isr: model.Int32s(p.ISR), Elr: model.Int32s(p.ELR)}))
		}
	})
	return epochs, holds
}

// reregister registers a node of a cluster. Whatever it led it leads no longer: it leads again, in a new leader epoch,
// when it is elected after it is back in service (R1). Beyond that
//
//   - with a new directory it leaves every ISR and ELR (R7), also as the last member: then nobody leads, unless unclean elections are
//     allowed, until it is known what to do about the loss;
//   - where its log was cut, or might have been because the topic is relaxed (D2) and the stop was not clean, it leaves ISR and ELR
//     if the partition has a leader and an ISR that suffices without it. Else it stays, marked, in the ELR at most beside a leader, and is
//     elected only as far as L2 allows. A relaxed topic's leaves in any case where there is a leader;
//   - elsewhere it stays in the ISR: what it acknowledged is on its disk. After a power loss of all nodes every member is
//     still a candidate.
func reregister(in Inputs, old *image.Node, r Registration, add *command.AddNode) ([]*command.Command, error) {
	if stopped := old != nil && old.Fenced && old.Stopping; old != nil && !stopped && in.Live != nil && in.Live(r.ID) {
		return nil, refuse(DuplicateBroker, "Another process is registered as node %d and alive: give this one another node ID, or wait until the "+
			"other one's session of broker.session.timeout.ms ends.", r.ID)
	}
	if refusal := cmp.Or(checkFeatures(in, r), checkFollows(in.Image, r), checkHeard(in, old, r)); refusal != nil {
		return nil, refusal
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, err
	}
	roster.gone(r.ID)
	back := arrival{id: r.ID, wiped: old != nil && old.Directory != r.Directory, clean: r.CleanStop, cuts: map[partitionRef]model.Offset{}}
	for _, c := range r.Cuts {
		back.cuts[partitionRef{c.Topic, c.Partition}] = c.End
	}
	out := newChanges()
	each(in.Image, func(t *image.Topic, n int32, p *image.Partition) {
		if slices.Contains(p.Replicas, r.ID) {
			v := roster.revise(t, n)
			back.revise(v)
			out.add(v)
		}
	})
	return append(out.commands(), command.Add(add)), nil
}

// checkFollows refuses a registration that does not know the one before it. What a process that is gone has sent may arrive after its successor has
// registered, and when nobody is alive: the directory and the cuts that it tells of are not those of the node any more, and the successor's replicas would
// lose their places (R7). A process that is there reads the metadata and asks again.
func checkFollows(im *image.Image, r Registration) *Refusal {
	last := im.BrokerEpoch(r.ID)
	if r.Follows == last {
		return nil
	}
	return refuse(StaleBrokerEpoch, "This registration of node %d follows that of epoch %d, but the last one is that of epoch %d (0: none): its process is gone, or asks again "+
		"when its metadata are as new.", r.ID, r.Follows, last)
}

// checkHeard has a node that stopped uncleanly wait until the controller has heard of the others, or fenced them. A new controller
// takes everybody for alive who was; after a power loss of all it would drop one member after the other for
// the sake of those that are not there either, and compare no logs.
func checkHeard(in Inputs, old *image.Node, r Registration) *Refusal {
	if old == nil || r.CleanStop || in.Live == nil {
		return nil
	}
	for _, n := range in.Image.Nodes() {
		if n.ID != r.ID && !n.Fenced && !in.Live(n.ID) {
			return refuse(Settling, "The controller is new and has not heard of node %d yet: ask again.", n.ID)
		}
	}
	return nil
}

// arrival is a new incarnation of a node.
type arrival struct {
	id           model.BrokerID
	wiped, clean bool
	cuts         map[partitionRef]model.Offset
}

func (a *arrival) revise(v *revision) {
	if a.wiped {
		v.lost = []model.BrokerID{a.id}
		return
	}
	end, cut := a.cuts[partitionRef{v.topic.ID, v.number}]
	if !cut && !a.clean && v.roster.of(v.topic).relaxed {
		end, cut = model.NoOffset, true
	}
	p := &v.next
	if !cut || !slices.Contains(p.ISR, a.id) && !slices.Contains(p.ELR, a.id) {
		return
	}
	if was, already := v.cut(a.id); already && longer(end, was) {
		end = was
	}
	p.Cut = slices.DeleteFunc(slices.Clone(p.Cut), func(c image.CutLog) bool { return c.Node == a.id })
	p.Cut = append(p.Cut, image.CutLog{Node: a.id, End: end})
	slices.SortFunc(p.Cut, func(a, b image.CutLog) int { return cmp.Compare(a.Node, b.Node) })
}

// registered finds a node at the registration that is meant.
func registered(m *image.Image, id model.BrokerID, epoch int64) (*image.Node, *Refusal) {
	n := m.Node(id)
	switch {
	case n == nil:
		return nil, refuse(UnknownBroker, "Node %d is not registered.", id)
	case n.Epoch != epoch:
		return nil, refuse(StaleBrokerEpoch, "Node %d has registered again: its epoch is %d, not %d.", id, n.Epoch, epoch)
	}
	return n, nil
}
