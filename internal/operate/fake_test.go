package operate_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/operate"
)

// start is when all voters were heard last.
var start = time.UnixMilli(1_700_000_000_000)

// view is a cluster of nodes 1 to n, all voters, led by node 1, whose partitions have the replicas given, all in sync.
func view(nodes int, replicas ...[]model.BrokerID) *operate.View {
	v := &operate.View{ClusterID: "c", Controller: 1, MinISR: map[string]int{"t": 2}}
	for id := model.BrokerID(1); int(id) <= nodes; id++ {
		v.Nodes = append(v.Nodes, operate.Node{ID: id, Host: fmt.Sprint("h", id), Port: 9092})
		v.Quorum.Voters = append(v.Quorum.Voters, operate.Follower{Node: id, Directory: [16]byte{byte(id)}, LogEnd: 10, Heard: start})
	}
	v.Quorum.HighWatermark = 10
	for i, r := range replicas {
		v.Partitions = append(v.Partitions, operate.Partition{
			TopicPartition: model.TopicPartition{Topic: "t", Partition: int32(i)}, Leader: r[0], Replicas: r, ISR: slices.Clone(r),
		})
	}
	return v
}

func on(ids ...model.BrokerID) []model.BrokerID { return ids }

// fence takes a node out of service, as the controller does.
func fence(v *operate.View, id model.BrokerID) {
	v.Node(id).Fenced = true
	for i := range v.Quorum.Voters {
		if v.Quorum.Voters[i].Node == id {
			v.Quorum.Voters[i].Heard = start.Add(-time.Minute)
		}
	}
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if rest := slices.DeleteFunc(slices.Clone(p.ISR), func(o model.BrokerID) bool { return o == id }); len(rest) > 0 {
			p.ISR = rest
		}
		if p.Leader == id {
			if p.Leader = model.NoBroker; p.ISR[0] != id {
				p.Leader = p.ISR[0]
			}
		}
	}
}

// fake is a cluster that changes by one reassignment each time that it is looked at.
type fake struct {
	view      *operate.View
	calls     []string
	before    func(call string) error // may fail a call
	looked    int
	throttled bool
	peak      int // reassignments under way
}

func (f *fake) call(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if f.before != nil {
		if err := f.before(text); err != nil {
			return err
		}
	}
	f.calls = append(f.calls, text)
	return nil
}

func (f *fake) View(context.Context) (*operate.View, error) {
	if f.before != nil {
		if err := f.before("view"); err != nil {
			return nil, err
		}
	}
	f.looked++
	moving := 0
	for i := range f.view.Partitions {
		if f.view.Partitions[i].Moving() {
			moving++
		}
	}
	f.peak = max(f.peak, moving)
	for i := range f.view.Partitions {
		if p := &f.view.Partitions[i]; p.Moving() {
			p.Replicas = p.Target()
			p.ISR, p.Adding, p.Removing = slices.Clone(p.Replicas), nil, nil
			if !slices.Contains(p.ISR, p.Leader) {
				p.Leader = p.ISR[0]
			}
			break
		}
	}
	seen := *f.view
	seen.Nodes, seen.Partitions = slices.Clone(f.view.Nodes), slices.Clone(f.view.Partitions)
	return &seen, nil
}

func (f *fake) Reassign(_ context.Context, moves []controller.Reassignment) error {
	if err := f.call("reassign %d", len(moves)); err != nil {
		return err
	}
	for _, m := range moves {
		p := &f.view.Partitions[m.Partition]
		was := p.Replicas
		p.Adding = slices.DeleteFunc(slices.Clone(m.Replicas), func(id model.BrokerID) bool { return slices.Contains(was, id) })
		p.Removing = slices.DeleteFunc(slices.Clone(was), func(id model.BrokerID) bool { return slices.Contains(m.Replicas, id) })
		p.Replicas = slices.Concat(m.Replicas, p.Removing)
		if !p.Moving() {
			p.ISR = slices.Clone(p.Replicas)
		}
	}
	return nil
}

func (f *fake) Elect(_ context.Context, parts []model.TopicPartition) error {
	if err := f.call("elect"); err != nil {
		return err
	}
	for _, tp := range parts {
		f.view.Partitions[tp.Partition].Leader = f.view.Partitions[tp.Partition].Replicas[0]
	}
	return nil
}

func (f *fake) AddVoter(_ context.Context, who operate.Follower, n operate.Node) error {
	if err := f.call("add voter %d", n.ID); err != nil {
		return err
	}
	f.view.Quorum.Observers = nil
	f.view.Quorum.Voters = append(slices.Clone(f.view.Quorum.Voters), who)
	return nil
}

func (f *fake) RemoveVoter(_ context.Context, who operate.Follower) error {
	if err := f.call("remove voter %d", who.Node); err != nil {
		return err
	}
	is := func(o operate.Follower) bool { return o.Node == who.Node }
	f.view.Quorum.Voters = slices.DeleteFunc(slices.Clone(f.view.Quorum.Voters), is)
	f.view.Quorum.Observers = slices.DeleteFunc(slices.Clone(f.view.Quorum.Observers), is)
	return nil
}

func (f *fake) Unregister(_ context.Context, id model.BrokerID) error {
	if err := f.call("unregister %d", id); err != nil {
		return err
	}
	f.view.Nodes = slices.DeleteFunc(f.view.Nodes, func(n operate.Node) bool { return n.ID == id })
	return nil
}

func (f *fake) Throttle(_ context.Context, topics []string, rate int64) error {
	if err := f.call("throttle %v %d", topics, rate); err != nil {
		return err
	}
	f.throttled = true
	return nil
}

func (f *fake) Unthrottle(context.Context, *operate.View) error {
	if err := f.call("unthrottle"); err != nil {
		return err
	}
	f.throttled = false
	return nil
}
