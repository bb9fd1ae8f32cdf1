package controller

import (
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// roster is what elections need to know beside the partition: who is there, and what the topics' owners chose. A decision
// about a node sets the node's entry to what it is about to become.
type roster struct {
	in     Inputs
	set    settings
	up     map[model.BrokerID]bool // registered and not fenced: may go on leading
	active map[model.BrokerID]bool // and not stopping: may become leader or join an ISR
	rules  map[model.TopicID]rules
}

// rules are a topic's choices.
type rules struct {
	minISR  int32 // min.insync.replicas as configured
	unclean bool  // unclean.leader.election.enable
	relaxed bool  // records may be acknowledged before they are on disk
}

func newRoster(in Inputs) (*roster, error) {
	set, err := in.settings()
	if err != nil {
		return nil, err
	}
	r := &roster{in: in, set: set, up: map[model.BrokerID]bool{}, active: map[model.BrokerID]bool{}, rules: map[model.TopicID]rules{}}
	for _, n := range in.Image.Nodes() {
		r.up[n.ID], r.active[n.ID] = !n.Fenced, n.Active()
	}
	return r, nil
}

// gone treats a node as out of service.
func (r *roster) gone(id model.BrokerID) { r.up[id], r.active[id] = false, false }

// back treats a node as in service.
func (r *roster) back(id model.BrokerID) { r.up[id], r.active[id] = true, true }

// stopping treats a node as one that leads on only where nobody else can.
func (r *roster) stopping(id model.BrokerID) { r.active[id] = false }

func (r *roster) of(t *image.Topic) rules {
	if len(t.Configs) == 0 {
		return rules{r.set.topic.MinInsyncReplicas, r.set.topic.UncleanLeaderElection, r.set.topic.Relaxed()}
	}
	known, ok := r.rules[t.ID]
	if !ok {
		// Values that cannot be read were never let in. If they were, the smallest ELR and clean elections are safe.
		known = rules{minISR: 1}
		if c, err := r.set.topic.With(t.Configs); err == nil {
			known = rules{c.MinInsyncReplicas, c.UncleanLeaderElection, c.Relaxed()}
		}
		r.rules[t.ID] = known
	}
	return known
}
