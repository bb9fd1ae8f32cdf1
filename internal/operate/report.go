package operate

import (
	"fmt"
	"time"

	"chronik/internal/model"
)

// Report is a View for people and programs, with what is wrong first.
type Report struct {
	Cluster       string          `json:"cluster_id"`
	Healthy       bool            `json:"healthy"`
	Problems      []Problem       `json:"problems"`
	Metadata      MetadataReport  `json:"metadata"`
	Nodes         []NodeReport    `json:"nodes"`
	Partitions    PartitionReport `json:"partitions"`
	Reassignments []MoveReport    `json:"reassignments"`
}

// MetadataReport is the state of the metadata quorum.
type MetadataReport struct {
	Controller    model.BrokerID   `json:"controller"` // -1: not known
	Epoch         int32            `json:"epoch"`
	HighWatermark int64            `json:"high_watermark"`
	Voters        []FollowerReport `json:"voters"`
	Learners      []FollowerReport `json:"learners"`
}

// FollowerReport is a replica of the metadata log.
type FollowerReport struct {
	Node model.BrokerID `json:"node"`
	// Lag is the entries that it lacks, -1 if that is not known.
	Lag int64 `json:"lag"`
	// SilentMs is how long it was not heard of, -1 if it was not since the controller took over.
	SilentMs int64 `json:"silent_ms"`
}

// NodeReport is a registered node.
type NodeReport struct {
	ID       model.BrokerID `json:"id"`
	Address  string         `json:"address"`
	Rack     string         `json:"rack,omitempty"`
	Active   bool           `json:"active"`
	Leaders  int            `json:"leaders"`
	Replicas int            `json:"replicas"`
}

// PartitionReport names the partitions that are not as they should be.
type PartitionReport struct {
	Topics          int               `json:"topics"`
	Total           int               `json:"total"`
	Offline         []PartitionDetail `json:"offline"`
	UnderMinISR     []PartitionDetail `json:"under_min_isr"`
	UnderReplicated []PartitionDetail `json:"under_replicated"`
	// WithELR have replicas that may lead although they left the ISR, because the ISR was smaller than min.insync.replicas (KIP-966).
	WithELR []PartitionDetail `json:"with_elr"`
}

// PartitionDetail is one partition and who holds it.
type PartitionDetail struct {
	Partition string           `json:"partition"`
	Leader    model.BrokerID   `json:"leader"`
	Replicas  []model.BrokerID `json:"replicas"`
	ISR       []model.BrokerID `json:"isr"`
	ELR       []model.BrokerID `json:"elr"`
}

// MoveReport is a reassignment under way.
type MoveReport struct {
	Partition string           `json:"partition"`
	Replicas  []model.BrokerID `json:"replicas"`
	Adding    []model.BrokerID `json:"adding"`
	Removing  []model.BrokerID `json:"removing"`
	ISR       []model.BrokerID `json:"isr"`
}

// NewReport judges a view and words it. Lists are empty rather than nil: programs get [].
func NewReport(v *View) *Report {
	r := &Report{Cluster: v.ClusterID, Problems: append([]Problem{}, Judge(v)...), Nodes: []NodeReport{}, Reassignments: []MoveReport{}}
	r.Healthy = len(r.Problems) == 0
	r.Metadata = MetadataReport{
		Controller: v.Controller, Epoch: v.Quorum.Epoch, HighWatermark: v.Quorum.HighWatermark,
		Voters: followerReports(&v.Quorum, v.Quorum.Voters), Learners: followerReports(&v.Quorum, v.Quorum.Observers),
	}
	leaders := map[model.BrokerID]int{}
	for i := range v.Partitions {
		leaders[v.Partitions[i].Leader]++
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		r.Nodes = append(r.Nodes, NodeReport{n.ID, n.address(), n.Rack, !n.Fenced, leaders[n.ID], v.holds(n.ID)})
	}
	r.partitions(v)
	return r
}

func (r *Report) partitions(v *View) {
	some := func() []PartitionDetail { return []PartitionDetail{} }
	r.Partitions = PartitionReport{Total: len(v.Partitions), Offline: some(), UnderMinISR: some(), UnderReplicated: some(), WithELR: some()}
	topic := ""
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.Topic != topic {
			topic = p.Topic
			r.Partitions.Topics++
		}
		d := PartitionDetail{p.String(), p.Leader, list(p.Replicas), list(p.ISR), list(p.ELR)}
		if p.Leader == model.NoBroker {
			r.Partitions.Offline = append(r.Partitions.Offline, d)
		} else if len(p.ISR) < v.minISR(p) {
			r.Partitions.UnderMinISR = append(r.Partitions.UnderMinISR, d)
		}
		if len(p.lacks()) > 0 {
			r.Partitions.UnderReplicated = append(r.Partitions.UnderReplicated, d)
		}
		if len(p.ELR) > 0 {
			r.Partitions.WithELR = append(r.Partitions.WithELR, d)
		}
		if p.Moving() {
			r.Reassignments = append(r.Reassignments, MoveReport{p.String(), list(p.Replicas), list(p.Adding), list(p.Removing), list(p.ISR)})
		}
	}
}

func list(ids []model.BrokerID) []model.BrokerID { return append([]model.BrokerID{}, ids...) }

func followerReports(q *Quorum, of []Follower) []FollowerReport {
	out := []FollowerReport{}
	for _, f := range of {
		r := FollowerReport{Node: f.Node, Lag: -1, SilentMs: -1}
		if f.LogEnd >= 0 {
			r.Lag = max(q.HighWatermark-f.LogEnd, 0)
		}
		if !f.Heard.IsZero() {
			r.SilentMs = q.now().Sub(f.Heard).Milliseconds()
		}
		out = append(out, r)
	}
	return out
}

// text is how a node's part in the metadata is shown: "controller", "voter, 12 behind".
func (f FollowerReport) text(role string) string {
	switch {
	case f.SilentMs < 0:
		return role + ", not heard of"
	case time.Duration(f.SilentMs)*time.Millisecond >= silentAfter:
		return fmt.Sprintf("%s, silent for %s", role, (time.Duration(f.SilentMs) * time.Millisecond).Round(time.Second))
	case f.Lag > 0:
		return fmt.Sprintf("%s, %d behind", role, f.Lag)
	}
	return role
}
