package peer

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
	"chronik/internal/quorum"
)

// Conversions between what handlers speak and what goes over the wire: put* makes messages, get* reads them and finds what is out of range.

// reader collects the first thing that is wrong with a message.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
}

// id reads the 16 bytes of an ID.
func (r *reader) id(b []byte, what string) (out [16]byte) {
	if copy(out[:], b); len(b) != len(out) {
		r.fail("%s has %d bytes, not 16", what, len(b))
	}
	return out
}

// level reads 16 bits.
func (r *reader) level(n int32, what string) int16 {
	if n < math.MinInt16 || n > math.MaxInt16 {
		r.fail("%s is %d", what, n)
	}
	return int16(n)
}

// broker reads the ID of a broker that is there.
func (r *reader) broker(n int32) model.BrokerID {
	if n < 0 {
		r.fail("node %d is none", n)
	}
	return model.BrokerID(n)
}

func (r *reader) brokers(ns []int32) []model.BrokerID {
	out := make([]model.BrokerID, len(ns))
	for i, n := range ns {
		out[i] = r.broker(n)
	}
	return out
}

func putRegistration(r controller.Registration) *peerpb.RegisterRequest {
	q := &peerpb.RegisterRequest{IncarnationId: r.Incarnation[:], DirectoryId: r.Directory[:], Rack: r.Rack, CleanStop: r.CleanStop, Follows: r.Follows}
	for _, e := range r.Endpoints {
		q.Endpoints = append(q.Endpoints, &peerpb.Endpoint{Listener: e.Listener, Host: e.Host, Port: uint32(e.Port), SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range r.Features {
		q.Features = append(q.Features, &peerpb.FeatureRange{Name: f.Name, MinLevel: int32(f.Min), MaxLevel: int32(f.Max)})
	}
	for _, c := range r.Cuts {
		q.Cuts = append(q.Cuts, &peerpb.Cut{TopicId: c.Topic[:], Partition: c.Partition, End: int64(c.End)})
	}
	return q
}

// getRegistration takes node and cluster from the link.
func getRegistration(from Caller, q *peerpb.RegisterRequest) (controller.Registration, error) {
	var r reader
	out := controller.Registration{ClusterID: from.ClusterID, ID: from.Node, Incarnation: r.id(q.IncarnationId, "the incarnation"),
		Directory: r.id(q.DirectoryId, "the directory"), Rack: q.Rack, CleanStop: q.CleanStop, Follows: q.Follows}
	for _, e := range q.Endpoints {
		if e.Port > math.MaxUint16 {
			r.fail("port %d", e.Port)
		}
		out.Endpoints = append(out.Endpoints, image.Endpoint{Listener: e.Listener, Host: e.Host, Port: uint16(e.Port), SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range q.Features {
		out.Features = append(out.Features, image.FeatureRange{Name: f.Name, Min: r.level(f.MinLevel, f.Name), Max: r.level(f.MaxLevel, f.Name)})
	}
	for _, c := range q.Cuts {
		out.Cuts = append(out.Cuts, controller.Cut{Topic: r.id(c.TopicId, "a topic's ID"), Partition: c.Partition, End: model.Offset(c.End)})
	}
	return out, r.err
}

// put makes the messages for a list, and get reads them.
func put[A, B any](list []A, one func(*A) *B) []*B {
	out := make([]*B, len(list))
	for i := range list {
		out[i] = one(&list[i])
	}
	return out
}

func get[A, B any](list []*A, one func(*A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = one(a)
	}
	return out
}

func putChanges(epoch model.BrokerEpoch, changes []controller.ISRChange) *peerpb.AlterPartitionsRequest {
	return &peerpb.AlterPartitionsRequest{BrokerEpoch: int64(epoch), Changes: put(changes, func(c *controller.ISRChange) *peerpb.IsrChange {
		return &peerpb.IsrChange{TopicId: c.Topic[:], Partition: c.Partition, LeaderEpoch: int32(c.LeaderEpoch), PartitionEpoch: c.PartitionEpoch,
			Isr: put(c.ISR, func(m *controller.Member) *peerpb.IsrMember {
				return &peerpb.IsrMember{NodeId: int32(m.ID), BrokerEpoch: m.Epoch}
			})}
	})}
}

func getChanges(q *peerpb.AlterPartitionsRequest) ([]controller.ISRChange, error) {
	var r reader
	out := get(q.Changes, func(c *peerpb.IsrChange) controller.ISRChange {
		return controller.ISRChange{Topic: r.id(c.TopicId, "a topic's ID"), Partition: c.Partition,
			LeaderEpoch: model.LeaderEpoch(c.LeaderEpoch), PartitionEpoch: c.PartitionEpoch,
			ISR: get(c.Isr, func(m *peerpb.IsrMember) controller.Member {
				return controller.Member{ID: r.broker(m.NodeId), Epoch: m.BrokerEpoch}
			})}
	})
	return out, r.err
}

func putAltered(answers []controller.AlteredPartition) *peerpb.AlterPartitionsReply {
	a := &peerpb.AlterPartitionsReply{Outcomes: make([]*peerpb.AlteredPartition, len(answers))}
	for i := range answers {
		a.Outcomes[i] = new(peerpb.AlteredPartition)
		if err := answers[i].Err; err != nil {
			a.Outcomes[i].Failure = toFailure(err)
		} else {
			a.Outcomes[i].State = putPartition(&answers[i].State)
		}
	}
	return a
}

// errCount says that there are not as many answers as questions.
var errCount = errors.New("the answer has not one outcome for each item of the request")

func getAltered(from model.BrokerID, asked int, a *peerpb.AlterPartitionsReply) ([]controller.AlteredPartition, error) {
	if len(a.Outcomes) != asked {
		return nil, errCount
	}
	var r reader
	out := make([]controller.AlteredPartition, asked)
	for i, o := range a.Outcomes {
		switch {
		case o.Failure != nil:
			out[i].Err = fromFailure(AlterPartitions, from, o.Failure)
		case o.State != nil:
			out[i].State = r.partition(o.State)
		default:
			r.fail("an outcome is neither a state nor a failure")
		}
	}
	return out, r.err
}

func putPartition(p *image.Partition) *peerpb.PartitionState {
	s := &peerpb.PartitionState{
		Replicas: model.Int32s(p.Replicas), Isr: model.Int32s(p.ISR), Elr: model.Int32s(p.ELR), Adding: model.Int32s(p.Adding), Removing: model.Int32s(p.Removing),
		Leader: int32(p.Leader), LeaderEpoch: int32(p.LeaderEpoch), PartitionEpoch: p.PartitionEpoch, LastKnownLeader: int32(p.LastKnownLeader),
	}
	for _, c := range p.Cut {
		s.Cut = append(s.Cut, &peerpb.CutLog{NodeId: int32(c.Node), End: int64(c.End)})
	}
	return s
}

func (r *reader) partition(s *peerpb.PartitionState) image.Partition {
	p := image.Partition{
		Replicas: r.brokers(s.Replicas), ISR: r.brokers(s.Isr), ELR: r.brokers(s.Elr), Adding: r.brokers(s.Adding), Removing: r.brokers(s.Removing),
		Leader: brokerOrNone(s.Leader), LeaderEpoch: model.LeaderEpoch(s.LeaderEpoch), PartitionEpoch: s.PartitionEpoch, LastKnownLeader: brokerOrNone(s.LastKnownLeader),
	}
	for _, c := range s.Cut {
		p.Cut = append(p.Cut, image.CutLog{Node: r.broker(c.NodeId), End: model.Offset(c.End)})
	}
	return p
}

func putResignations(epoch model.BrokerEpoch, items []controller.Resignation) *peerpb.ResignRequest {
	return &peerpb.ResignRequest{BrokerEpoch: int64(epoch), Resignations: put(items, func(it *controller.Resignation) *peerpb.Resignation {
		return &peerpb.Resignation{TopicId: it.Topic[:], Partition: it.Partition, LeaderEpoch: int32(it.LeaderEpoch), Failed: it.Failed}
	})}
}

func getResignations(q *peerpb.ResignRequest) ([]controller.Resignation, error) {
	var r reader
	out := get(q.Resignations, func(it *peerpb.Resignation) controller.Resignation {
		return controller.Resignation{Topic: r.id(it.TopicId, "a topic's ID"), Partition: it.Partition,
			LeaderEpoch: model.LeaderEpoch(it.LeaderEpoch), Failed: it.Failed}
	})
	return out, r.err
}

func putOutcomes(errs []error) *peerpb.ResignReply {
	a := &peerpb.ResignReply{Outcomes: make([]*peerpb.Outcome, len(errs))}
	for i, err := range errs {
		a.Outcomes[i] = new(peerpb.Outcome)
		if err != nil {
			a.Outcomes[i].Failure = toFailure(err)
		}
	}
	return a
}

func getOutcomes(from model.BrokerID, asked int, a *peerpb.ResignReply) ([]error, error) {
	if len(a.Outcomes) != asked {
		return nil, errCount
	}
	out := make([]error, asked)
	for i, o := range a.Outcomes {
		if o.Failure != nil {
			out[i] = fromFailure(Resign, from, o.Failure)
		}
	}
	return out, nil
}

func putPossession(p Possession) *peerpb.ProbeReply {
	a := &peerpb.ProbeReply{NodeId: int32(p.Node), DirectoryId: p.Directory[:], ClusterId: p.ClusterID, Member: p.Member}
	for i := range p.Voters {
		v := &p.Voters[i]
		a.Voters = append(a.Voters, &peerpb.Replica{NodeId: int32(v.Node), DirectoryId: v.Directory[:], Address: v.Address})
	}
	return a
}

func getPossession(a *peerpb.ProbeReply) (Possession, error) {
	var r reader
	p := Possession{Node: r.broker(a.NodeId), Directory: r.id(a.DirectoryId, "the directory"), ClusterID: a.ClusterId, Member: a.Member}
	for _, v := range a.Voters {
		p.Voters = append(p.Voters, Member{quorum.Replica{Node: r.broker(v.NodeId), Directory: r.id(v.DirectoryId, "a directory")}, v.Address})
	}
	return p, r.err
}

func putClientRequest(q ClientRequest) *peerpb.ForwardRequest {
	from := &q.Origin
	out := &peerpb.ForwardRequest{ApiKey: int32(q.APIKey), ApiVersion: int32(q.APIVersion), ClientId: q.ClientID, Body: q.Body, Listener: from.Listener,
		PrincipalType: from.Principal.Type, PrincipalName: from.Principal.Name, ByToken: from.Principal.ByToken}
	if from.Address.IsValid() {
		out.ClientAddress = from.Address.String()
	}
	return out
}

func getClientRequest(q *peerpb.ForwardRequest) (ClientRequest, error) {
	var r reader
	out := ClientRequest{APIKey: r.level(q.ApiKey, "the API key"), APIVersion: r.level(q.ApiVersion, "the API version"), ClientID: q.ClientId, Body: q.Body,
		Origin: Origin{Principal: Principal{Type: q.PrincipalType, Name: q.PrincipalName, ByToken: q.ByToken}, Address: r.address(q.ClientAddress), Listener: q.Listener}}
	if p := out.Origin.Principal; (p.Type == "") != (p.Name == "") || p.ByToken && p.Name == "" {
		r.fail("the principal is %+v", p)
	}
	return out, r.err
}

// address reads where a client is; none is not valid.
func (r *reader) address(s string) (out netip.AddrPort) {
	if s == "" {
		return out
	}
	out, err := netip.ParseAddrPort(s)
	if err != nil {
		r.fail("the client's address is %q", s)
	}
	return out
}
