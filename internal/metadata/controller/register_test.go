package controller

import (
	"slices"
	"testing"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// R4: a member whose log was cut stays a candidate while the ISR is below the minimum. Its leader was only believed to be alive, and comes
// back with less, with another disk, or not cut at all: whoever has the longest log leads.
func TestR4CutMembersStayEligible(t *testing.T) {
	two := "2"
	id := model.TopicID{15: 1}
	for name, c := range map[string]struct {
		back   Registration // of node 2, which led
		leader model.BrokerID
	}{
		"the leader has lost its log":    {Registration{Directory: image.UUID{2}, Cuts: []Cut{{Topic: id, End: 0}}}, 1},
		"the leader has lost its disk":   {Registration{Directory: image.UUID{22}}, 1},
		"the leader's log is the longer": {Registration{Directory: image.UUID{2}, Cuts: []Cut{{Topic: id, End: 60}}}, 2},
		"the leader has lost nothing":    {Registration{Directory: image.UUID{2}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := clusterOf(t, []string{"", "", ""}, NewTopic{Name: "t", Partitions: 1, ReplicationFactor: 3, Configs: []NewConfig{{minISRKey, &two}}})
			back := func(id model.BrokerID, r Registration) {
				r.ClusterID, r.ID, r.Incarnation, r.Features = "cluster", id, image.UUID{byte(id), 2}, w.inputs().Supported()
				r.Follows = w.image.BrokerEpoch(id)
				w.must(RegisterNode(w.inputs(), r))
				w.must(UnfenceNode(w.inputs(), id, w.image.Node(id).Epoch))
			}
			state := func() *image.Partition { return w.image.Topic("t").Partitions[0] }
			w.must(FenceNodes(w.inputs(), 3))
			back(1, Registration{Directory: image.UUID{1}, Cuts: []Cut{{Topic: id, End: 50}}})
			if p := state(); p.Leader != 2 || !slices.Equal(p.ISR, []model.BrokerID{2}) || !slices.Equal(p.ELR, []model.BrokerID{1}) {
				t.Fatalf("the leader is %d, ISR %v, ELR %v; want 2, [2], [1]", p.Leader, p.ISR, p.ELR)
			}
			back(2, c.back)
			if p := state(); p.Leader != c.leader {
				t.Fatalf("the leader is %d, want %d; ISR %v, ELR %v, cut %v", p.Leader, c.leader, p.ISR, p.ELR, p.Cut)
			}
		})
	}
}
