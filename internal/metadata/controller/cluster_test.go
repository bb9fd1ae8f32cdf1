package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

const (
	testSession = 600 * time.Millisecond
	testTick    = 50 * time.Millisecond
)

// clock is the world's time and what its active controller knows of the nodes.
type clock struct {
	now      time.Time
	sessions *Sessions
}

// clusterScripts are the commands about more than one node.
//
//	form                  the metadata of a node alone becomes that of a cluster
//	register              node [incarnation=] [dir=] [rack=] [clean] [cut=topic-0:end,...] [level=]
//	heartbeat             node [epoch=] [stop] [stopped] [applied=]: answers what the controller takes it for
//	advance TIME          alive=(1,2): time passes, these nodes send heartbeats, the others' sessions end
//	stall TIME            the controller stands still for so long
//	takeover              another controller becomes active
//	isr                   topic-0 leader= set=1,2 [epoch=] [partition-epoch=] [broker-epochs=]
//	resign                topic-0 leader= [failed]
//	elect KIND            topic-0, or nothing for all
//	balance LIMIT
//	reassign              topic-0 to=4,5,6, or to=cancel [any-factor in the command]
//	reassignments
//	unregister            node
//	feature               name level= [type=]
//	show                  topic: the state of its partitions
func (w *world) clusterScripts() map[string]func(*datadriven.TestData, []item) string {
	return map[string]func(*datadriven.TestData, []item) string{
		"form": w.form, "register": w.register, "heartbeat": w.heartbeat, "advance": w.advance, "stall": w.stall, "takeover": w.takeover,
		"isr": w.isr, "resign": w.resign, "elect": w.elect, "balance": w.balance, "reassign": w.reassign, "reassignments": w.reassignments,
		"unregister": w.unregister, "feature": w.feature, "show": w.show, "retry": w.retry,
	}
}

func (w *world) form(*datadriven.TestData, []item) string {
	w.takeover(nil, nil)
	cs, err := FormCluster(w.inputs())
	if err != nil {
		return verdict(err) + "\n"
	}
	return w.commit(cs)
}

func (w *world) takeover(*datadriven.TestData, []item) string {
	if w.now.IsZero() {
		w.now = time.Unix(1_000_000, 0)
	}
	w.sessions = NewSessions(testSession, testTick)
	return ""
}

func brokerID(s string) model.BrokerID {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return model.BrokerID(n)
}

func brokers(t testing.TB, list string) []model.BrokerID {
	out := []model.BrokerID{}
	for _, n := range numbers(t, list) {
		out = append(out, model.BrokerID(n))
	}
	return out
}

func (w *world) partition(name string) model.TopicPartition {
	tp, err := model.ParseTopicPartition(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return tp
}

func (w *world) topicID(tp model.TopicPartition) model.TopicID {
	if t := w.image.Topic(tp.Topic); t != nil {
		return t.ID
	}
	return model.TopicID{1}
}

// run commits the commands and tells what an operator would see.
func (w *world) run(cs []*command.Command, err error) string {
	if err != nil {
		return verdict(err) + "\n"
	}
	return w.commit(cs)
}

func (w *world) register(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		id := brokerID(it.words[0])
		r := Registration{ClusterID: "cluster", ID: id, Rack: it.value["rack"], CleanStop: slices.Contains(it.words, "clean"),
			Incarnation: image.UUID{byte(it.number(w.t, "incarnation", int(w.image.Index()+1)))}, Directory: image.UUID{byte(it.number(w.t, "dir", int(id)))},
			Follows:  int64(it.number(w.t, "follows", int(w.image.BrokerEpoch(id)))),
			Features: []image.FeatureRange{{Name: command.MetadataVersion, Min: 1, Max: int16(it.number(w.t, "level", 2))}}}
		for _, c := range strings.FieldsFunc(it.value["cut"], func(r rune) bool { return r == ',' }) {
			name, end, _ := strings.Cut(c, ":")
			n, _ := strconv.Atoi(end)
			tp := w.partition(name)
			r.Cuts = append(r.Cuts, Cut{Topic: w.topicID(tp), Partition: tp.Partition, End: model.Offset(n)})
		}
		in := w.inputs()
		in.Live = func(id model.BrokerID) bool { return w.sessions.Live(id, w.now) }
		out := w.run(RegisterNode(in, r))
		if n := w.image.Node(id); out == "" {
			out = fmt.Sprintf("epoch %d%s\n", n.Epoch, nodeState(n))
		}
		fmt.Fprintf(&b, "%d: %s", id, out)
	}
	return b.String()
}

func nodeState(n *image.Node) string {
	s := ""
	if n.Fenced {
		s += ", fenced"
	}
	if n.Stopping {
		s += ", stopping"
	}
	return s
}

func (w *world) heartbeat(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		h := Heartbeat{ID: brokerID(it.words[0]), Applied: uint64(it.number(w.t, "applied", int(w.image.Index()))),
			WantStop: slices.Contains(it.words, "stop"), Stopped: slices.Contains(it.words, "stopped")}
		if n := w.image.Node(h.ID); n != nil {
			h.Epoch = int64(it.number(w.t, "epoch", int(n.Epoch)))
		}
		cs, reply, err := HandleHeartbeat(w.inputs(), h)
		if err != nil {
			fmt.Fprintf(&b, "%d: %s\n", h.ID, verdict(err))
			continue
		}
		w.sessions.Touch(h.ID, h.Epoch, w.now)
		out := w.run(cs, nil)
		switch {
		case reply.MayStop:
			out += "may stop"
		case reply.Stopping:
			out += fmt.Sprintf("stopping, %d to hand over", reply.Waiting)
		case reply.Fenced && !reply.CaughtUp:
			out += "fenced, behind the metadata"
		case reply.Fenced:
			out += "fenced"
		default:
			out += "in service"
		}
		if n := w.image.Node(h.ID); n.Fenced != reply.Fenced || n.Stopping != reply.Stopping {
			out += fmt.Sprintf(" (but the image says%s)", nodeState(n))
		}
		fmt.Fprintf(&b, "%d: %s\n", h.ID, out)
	}
	return b.String()
}

// advance lets time pass tick by tick, as the active controller's loop does.
func (w *world) advance(d *datadriven.TestData, _ []item) string {
	total, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		w.t.Fatal(err)
	}
	var alive []string
	for _, a := range d.CmdArgs[1:] {
		alive = a.Vals
	}
	var b strings.Builder
	for left := total; left > 0; left -= testTick {
		w.now = w.now.Add(testTick)
		for _, id := range alive {
			n := w.image.Node(brokerID(id))
			w.sessions.Touch(n.ID, n.Epoch, w.now)
		}
		b.WriteString(w.expire())
	}
	return b.String()
}

func (w *world) expire() string {
	ids := w.sessions.Expired(w.image, w.now)
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("fenced %v\n", ids) + w.run(FenceNodes(w.inputs(), ids...))
}

func (w *world) stall(d *datadriven.TestData, _ []item) string {
	total, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(total)
	return w.expire()
}

func (w *world) isr(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		tp := w.partition(it.words[0])
		leader := model.BrokerID(it.number(w.t, "leader", 0))
		c := ISRChange{Topic: w.topicID(tp), Partition: tp.Partition}
		if t := w.image.Topic(tp.Topic); t != nil && int(tp.Partition) < len(t.Partitions) {
			p := t.Partitions[tp.Partition]
			c.LeaderEpoch = model.LeaderEpoch(it.number(w.t, "epoch", int(p.LeaderEpoch)))
			c.PartitionEpoch = int32(it.number(w.t, "partition-epoch", int(p.PartitionEpoch)))
		}
		for _, id := range brokers(w.t, it.value["set"]) {
			epoch := int64(-1)
			if n := w.image.Node(id); n != nil {
				epoch = int64(it.number(w.t, "broker-epochs", int(n.Epoch)))
			}
			c.ISR = append(c.ISR, Member{id, epoch})
		}
		var epoch int64
		if n := w.image.Node(leader); n != nil {
			epoch = n.Epoch
		}
		cs, answers, err := AlterPartition(w.inputs(), leader, int64(it.number(w.t, "leader-registered", int(epoch))), []ISRChange{c})
		out := w.run(cs, err)
		if err == nil && answers[0].Err != nil {
			out += verdict(answers[0].Err) + "\n"
		} else if err == nil {
			now := w.image.Topic(tp.Topic).Partitions[tp.Partition]
			if got := fmt.Sprint(answers[0].State); got != fmt.Sprint(*now) {
				w.t.Errorf("the answer is %s, the image says %v", got, *now)
			}
			out += partitionState(tp, now)
		}
		b.WriteString(out)
	}
	return b.String()
}

func (w *world) resign(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		tp := w.partition(it.words[0])
		n := w.image.Node(model.BrokerID(it.number(w.t, "leader", 0)))
		p := w.image.Topic(tp.Topic).Partitions[tp.Partition]
		cs, errs, err := Resign(w.inputs(), n.ID, n.Epoch, []Resignation{{Topic: w.topicID(tp), Partition: tp.Partition,
			LeaderEpoch: model.LeaderEpoch(it.number(w.t, "epoch", int(p.LeaderEpoch))), Failed: slices.Contains(it.words, "failed")}})
		b.WriteString(w.run(cs, err))
		if err == nil && errs[0] != nil {
			b.WriteString(verdict(errs[0]) + "\n")
		}
		b.WriteString(partitionState(tp, w.image.Topic(tp.Topic).Partitions[tp.Partition]))
	}
	return b.String()
}

func (w *world) elect(d *datadriven.TestData, items []item) string {
	kind := map[string]ElectionType{"preferred": PreferredElection, "unclean": UncleanElection, "odd": 7}[d.CmdArgs[0].Key]
	var list []model.TopicPartition
	for _, it := range items {
		list = append(list, w.partition(it.words[0]))
	}
	in := w.inputs()
	if len(d.CmdArgs) > 1 { // longest=(3:100,2:50): what the nodes report
		in.LogEnd = func(_ model.TopicID, _ int32, id model.BrokerID) (LogEnd, bool) {
			for _, v := range d.CmdArgs[1].Vals {
				if node, end, _ := strings.Cut(v, ":"); brokerID(node) == id {
					return LogEnd{End: model.Offset(brokerID(end))}, true
				}
			}
			return LogEnd{}, false
		}
	}
	cs, answers, err := ElectLeaders(in, kind, list)
	out := w.run(cs, err)
	for _, a := range answers {
		out += fmt.Sprintf("%s: %s\n", a.TopicPartition, verdict(a.Err))
	}
	return out
}

func (w *world) balance(d *datadriven.TestData, _ []item) string {
	limit, _ := strconv.Atoi(d.CmdArgs[0].Key)
	cs, left, err := BalanceLeaders(w.inputs(), limit)
	return w.run(cs, err) + fmt.Sprintf("%d left\n", left)
}

func (w *world) retry(*datadriven.TestData, []item) string { return w.run(ElectLeaderless(w.inputs())) }

func (w *world) reassign(d *datadriven.TestData, items []item) string {
	var requests []Reassignment
	for _, it := range items {
		r := Reassignment{TopicPartition: w.partition(it.words[0])}
		if to := it.value["to"]; to != "cancel" {
			r.Replicas = brokers(w.t, to)
		}
		requests = append(requests, r)
	}
	cs, errs := AlterPartitionReassignments(w.inputs(), requests, d.HasArg("any-factor"))
	out := w.run(cs, nil)
	for i, err := range errs {
		out += fmt.Sprintf("%s: %s\n", requests[i].TopicPartition, verdict(err))
	}
	return out
}

func (w *world) reassignments(_ *datadriven.TestData, items []item) string {
	var list []model.TopicPartition
	for _, it := range items {
		list = append(list, w.partition(it.words[0]))
	}
	var b strings.Builder
	for _, o := range ListPartitionReassignments(w.image, list) {
		fmt.Fprintf(&b, "%s: replicas %v adding %v removing %v\n", o.TopicPartition, o.Replicas, o.Adding, o.Removing)
	}
	return b.String() + "."
}

func (w *world) unregister(_ *datadriven.TestData, items []item) string {
	return w.run(UnregisterBroker(w.inputs(), brokerID(items[0].words[0])))
}

func (w *world) feature(d *datadriven.TestData, items []item) string {
	var updates []FeatureUpdate
	for _, it := range items {
		updates = append(updates, FeatureUpdate{Feature: it.words[0], Level: int16(it.number(w.t, "level", 0)), Type: UpgradeType(it.number(w.t, "type", 1))})
	}
	in := w.inputs()
	in.Features = []image.FeatureRange{{Name: "group.version", Min: 0, Max: 1}}
	cs, errs := UpdateFeatures(in, updates, d.HasArg("validate-only"))
	out := w.run(cs, nil)
	for i, err := range errs {
		out += fmt.Sprintf("%s: %s\n", updates[i].Feature, verdict(err))
	}
	return out + fmt.Sprintf("  now %v\n", w.image.Features())
}

func (w *world) show(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		t := w.image.Topic(it.words[0])
		for i, p := range t.Partitions {
			b.WriteString(partitionState(model.TopicPartition{Topic: t.Name, Partition: int32(i)}, p))
		}
	}
	return b.String()
}

// partitionState is one line; what is usual is left out.
func partitionState(tp model.TopicPartition, p *image.Partition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: leader %d in epoch %d, replicas %v isr %v", tp, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR)
	if p.Leader == model.NoBroker {
		b.Reset()
		fmt.Fprintf(&b, "%s: no leader since epoch %d (%d was the last), replicas %v isr %v", tp, p.LeaderEpoch, p.LastKnownLeader, p.Replicas, p.ISR)
	}
	if len(p.ELR) > 0 {
		fmt.Fprintf(&b, " elr %v", p.ELR)
	}
	if p.Reassigning() {
		fmt.Fprintf(&b, " adding %v removing %v", p.Adding, p.Removing)
	}
	for _, c := range p.Cut {
		fmt.Fprintf(&b, " (log of %d cut to %d)", c.Node, c.End)
	}
	return b.String() + "\n"
}
