package replication

import (
	"math/rand/v2"
	"slices"

	"chronik/internal/model"
)

// registration is what the metadata has of a broker.
type registration struct {
	epoch model.BrokerEpoch
	live  bool
}

// version is the metadata after one change. Brokers see all versions, in order, each in its own time.
type version struct {
	state   State
	elr     []model.BrokerID
	brokers []registration // by broker ID
}

func (v *version) live(id model.BrokerID) (model.BrokerEpoch, bool) {
	r := v.brokers[id]
	return r.epoch, r.live
}

// toyController decides as the real one must: compare-and-set, elections from the ISR and then from the eligible replicas.
type toyController struct {
	rng      *rand.Rand
	minISR   int
	versions []version
	count    *counts
	reuse    bool // broken: a broker that comes back leads on in its old epoch
}

func newController(rng *rand.Rand, brokers, minISR int, c *counts) *toyController {
	var v version
	for id := range model.BrokerID(brokers) {
		v.state.Replicas = append(v.state.Replicas, id)
		v.brokers = append(v.brokers, registration{epoch: model.BrokerEpoch(id), live: true})
	}
	v.state.ISR = slices.Clone(v.state.Replicas)
	return &toyController{rng: rng, minISR: minISR, versions: []version{v}, count: c}
}

func (c *toyController) last() *version { return &c.versions[len(c.versions)-1] }

// change commits what edit makes of the newest version.
func (c *toyController) change(edit func(v *version)) {
	v := *c.last()
	v.brokers, v.state.ISR, v.elr = slices.Clone(v.brokers), slices.Clone(v.state.ISR), slices.Clone(v.elr)
	edit(&v)
	c.versions = append(c.versions, v)
}

// register gives a broker that has started a new epoch, and whatever it led a new leader epoch (R1). One whose disk is new leaves ISR and ELR (R7).
func (c *toyController) register(id model.BrokerID, wiped bool) model.BrokerEpoch {
	epoch := model.BrokerEpoch(len(c.versions) + len(c.last().brokers))
	c.change(func(v *version) {
		v.brokers[id] = registration{epoch, true}
		if wiped {
			is := func(o model.BrokerID) bool { return o == id }
			v.state.ISR, v.elr = slices.DeleteFunc(v.state.ISR, is), slices.DeleteFunc(v.elr, is)
			v.state.PartitionEpoch++
		}
		if v.state.Leader == id && !c.reuse || v.state.Leader == model.NoBroker {
			c.elect(v)
		}
	})
	return epoch
}

// fence takes a broker out of leadership and ISR (KIP-841); the last member stays.
func (c *toyController) fence(id model.BrokerID) {
	if !c.last().brokers[id].live {
		return
	}
	c.change(func(v *version) {
		v.brokers[id].live = false
		if i := slices.Index(v.state.ISR, id); i >= 0 && len(v.state.ISR) > 1 {
			v.state.ISR = slices.Delete(v.state.ISR, i, i+1)
			if len(v.state.ISR) < c.minISR {
				v.elr = append(v.elr, id)
			}
			v.state.PartitionEpoch++
		}
		if v.state.Leader == id {
			c.elect(v)
		}
	})
}

func (c *toyController) unfence(id model.BrokerID) {
	if c.last().brokers[id].live {
		return
	}
	c.change(func(v *version) {
		v.brokers[id].live = true
		if v.state.Leader == model.NoBroker {
			c.elect(v)
		}
	})
}

// move elects anew, for balance or because the leader asked for it.
func (c *toyController) move() { c.change(c.elect) }

// elect begins a new leader epoch (R4).
func (c *toyController) elect(v *version) {
	v.state.LeaderEpoch++
	v.state.PartitionEpoch++
	v.state.Leader = model.NoBroker
	live := func(list []model.BrokerID) []model.BrokerID {
		return slices.DeleteFunc(slices.Clone(list), func(id model.BrokerID) bool { return !v.brokers[id].live })
	}
	if isr := live(v.state.ISR); len(isr) > 0 {
		v.state.Leader = isr[c.rng.IntN(len(isr))]
		c.count.elections++
		return
	}
	if elr := live(v.elr); len(elr) > 0 {
		id := elr[c.rng.IntN(len(elr))]
		v.elr = slices.DeleteFunc(append(v.elr, v.state.ISR...), func(o model.BrokerID) bool { return o == id })
		v.state.ISR, v.state.Leader = []model.BrokerID{id}, id
		c.count.elections++
		c.count.eligible++
	}
}

// alter is the compare-and-set of a leader's proposal (KIP-497).
func (c *toyController) alter(from model.BrokerID, p *Proposal) (Outcome, State) {
	v := c.last()
	if v.state.Leader != from || v.state.LeaderEpoch != p.LeaderEpoch || v.state.PartitionEpoch != p.PartitionEpoch {
		c.count.conflicts++
		return Declined, State{}
	}
	var isr []model.BrokerID
	for _, m := range p.ISR {
		if v.brokers[m.Broker] != (registration{m.Epoch, true}) {
			c.count.conflicts++
			return Declined, State{}
		}
		isr = append(isr, m.Broker)
	}
	c.change(func(v *version) {
		switch {
		case len(isr) < len(v.state.ISR):
			c.count.shrinks++
		case len(isr) > len(v.state.ISR):
			c.count.expands++
		default:
			c.count.kept++
		}
		old := append(v.elr, v.state.ISR...)
		v.state.ISR, v.elr = isr, nil
		if len(isr) < c.minISR {
			v.elr = slices.DeleteFunc(old, func(id model.BrokerID) bool { return slices.Contains(isr, id) })
		}
		v.state.PartitionEpoch++
	})
	return Committed, c.last().state
}
