package controller

import (
	"slices"
	"testing"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// shadow is what the replicas of the partitions would hold, if every node did what the metadata tells it. It knows nothing
// of epochs and watermarks: records are numbers, a log is a list of them, and acknowledged are those that all
// members of a sufficient ISR hold.
type shadow struct {
	records int
	parts   map[partitionRef]*shadowPartition
}

type shadowPartition struct {
	logs  map[model.BrokerID][]int
	acked []int
	loose bool // a relaxed topic: what is acknowledged may be lost
}

func (s *shadow) of(t *image.Topic, n int32) *shadowPartition {
	ref := partitionRef{t.ID, n}
	if s.parts[ref] == nil {
		s.parts[ref] = &shadowPartition{logs: map[model.BrokerID][]int{}, loose: t.Configs["flush.messages"] != ""}
	}
	return s.parts[ref]
}

// write appends a record at the leader; with all to all members of the ISR, if they are there and enough, so that
// it is acknowledged.
func (s *shadow) write(m *image.Image, t *image.Topic, n int32, all bool, down map[model.BrokerID]bool) {
	p := t.Partitions[n]
	if p.Leader == model.NoBroker || down[p.Leader] {
		return
	}
	s.records++
	sp := s.of(t, n)
	sp.logs[p.Leader] = append(slices.Clone(sp.logs[p.Leader]), s.records)
	if !all || len(p.ISR) < minISR(m, t, p) || slices.ContainsFunc(p.ISR, func(id model.BrokerID) bool { return down[id] }) {
		return
	}
	for _, id := range p.ISR {
		sp.logs[id] = sp.logs[p.Leader] // lists are never changed in place
	}
	sp.acked = append(sp.acked, s.records)
}

// copyTo lets a replica catch up with the leader.
func (s *shadow) copyTo(t *image.Topic, n int32, id model.BrokerID) {
	sp := s.of(t, n)
	sp.logs[id] = sp.logs[t.Partitions[n].Leader]
}

// cut takes the last records of a replica away and returns the end that is left.
func (sp *shadowPartition) cut(id model.BrokerID, count int) model.Offset {
	log := sp.logs[id]
	sp.logs[id] = log[:max(0, len(log)-count)]
	return model.Offset(len(sp.logs[id]))
}

func (s *shadow) wipe(id model.BrokerID) {
	for _, sp := range s.parts {
		delete(sp.logs, id)
	}
}

// check looks at every partition that has a new leader: it must hold all that was acknowledged and that any member of ISR or ELR held
// (R4). After an unclean election, and where every member lost its copy, the loss is taken note of.
func (s *shadow) check(t testing.TB, before, after *image.Image, unclean []model.TopicPartition) (promoted, leaderless int) {
	each(after, func(topic *image.Topic, n int32, p *image.Partition) {
		old := before.TopicByID(topic.ID)
		if old == nil || int(n) >= len(old.Partitions) || old.Partitions[n] == p {
			return
		}
		was, sp := old.Partitions[n], s.of(topic, n)
		for id := range sp.logs {
			if !slices.Contains(p.Replicas, id) {
				delete(sp.logs, id)
			}
		}
		switch p.Leader {
		case was.Leader:
			return
		case model.NoBroker:
			leaderless++
			return
		}
		if slices.Contains(was.ELR, p.Leader) {
			promoted++
		}
		tp := model.TopicPartition{Topic: topic.Name, Partition: n}
		sp.acked = slices.DeleteFunc(sp.acked, func(r int) bool {
			if slices.Contains(sp.logs[p.Leader], r) {
				return false
			}
			held := func(id model.BrokerID) bool { return slices.Contains(sp.logs[id], r) }
			if !sp.loose && !slices.Contains(unclean, tp) && slices.ContainsFunc(slices.Concat(was.ISR, was.ELR), held) {
				t.Fatalf("%s: record %d was acknowledged, leader %d does not hold it, and others do: %v\n%+v after\n%+v", tp, r, p.Leader, sp.logs, *p, *was)
			}
			return true
		})
	})
	return promoted, leaderless
}
