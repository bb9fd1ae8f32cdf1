package sim

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"

	"chronik/internal/metadata/image"
	"chronik/internal/quorum"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// learned is told of each state of the metadata that a node applies: the same index is the same image everywhere (M2).
func (w *world) learned(n *node, c quorum.Change) {
	data, err := image.EncodeSnapshot(c.Image)
	if err != nil {
		w.fail("M2", "%v: image %d cannot be written: %v", n, c.Index, err)
		return
	}
	h := fnv.New64a()
	_, _ = h.Write(data)
	sum := h.Sum64()
	if known, ok := w.images[c.Index]; !ok {
		w.images[c.Index] = sum
	} else if known != sum {
		w.fail("M2", "%v has another image at index %d of term %d than others", n, c.Index, c.Term)
		return
	}
	if c.Index > w.truth.Index() {
		w.committed(c.Image)
	}
}

// quorumOK tells whether a voter's disk may be lost: the metadata must have a full quorum without gaps to lose one of.
func (w *world) quorumOK(n *node) bool {
	if !w.quorate {
		return true
	}
	for _, o := range w.nodes[1:] {
		if o.voter == nil || o.voter.acting == nil || o == n {
			continue
		}
		s := o.voter.member.Status()
		whole := s.Settled && len(s.Voters) == min(voters, len(w.nodes)-1) && len(s.Observers) == max(0, len(w.nodes)-1-voters)
		for _, r := range slices.Concat(s.Voters, s.Observers) {
			whole = whole && (r.CaughtUpEnough || r.Node == n.broker()) && r.Replica.Directory == w.nodes[r.Node].disk.id
		}
		return whole
	}
	return false
}

// heads is told who is the active controller of a term: one at most (M1).
func (w *world) heads(n *node, term uint64) {
	who := writer{n.id, n.birth}
	if other, ok := w.terms[term]; ok && other != who {
		w.fail("M1", "%v is the active controller of term %d, in which node %d was", n, term, other.node)
	}
	w.terms[term] = who
	w.stats[controllers]++
}
