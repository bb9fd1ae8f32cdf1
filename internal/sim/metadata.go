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

// quorumOK tells whether a node's disk may be lost: the metadata must have a full quorum without gaps to lose one of, and somebody else who acts.
func (w *world) quorumOK(n *node) bool {
	if !w.quorate {
		return true
	}
	acting := w.acting()
	return acting != nil && acting != n && w.complete(acting, n)
}

// dispensable tells whether a node may be stopped for good without the metadata standing still.
func (w *world) dispensable(n *node) bool {
	acting := w.acting()
	return !w.quorate || acting != nil && w.complete(acting, n)
}

// acting is the node whose controller is active, nil if none is.
func (w *world) acting() *node {
	for _, n := range w.nodes[1:] {
		if n.voter != nil && n.voter.acting != nil {
			return n
		}
	}
	return nil
}

// complete tells whether all nodes but one take part in the quorum as they should, as far as the active controller knows.
func (w *world) complete(acting, one *node) bool {
	s := acting.voter.member.Status()
	if !s.Settled {
		return false
	}
	for _, n := range w.nodes[1:] {
		r, has, votes := findReplica(s, n.broker())
		if n != one && !(has && votes == (int(n.id) <= voters) && r.CaughtUpEnough && r.Replica.Directory == n.disk.id) {
			return false
		}
	}
	return true
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
