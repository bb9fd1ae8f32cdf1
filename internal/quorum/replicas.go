package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Replica is one copy of the metadata log: a node, and the data directory that it was taken in with. A node with
// another directory is another replica: it has lost its term, its vote and its entries, and so it has no vote
// until it was removed and taken in again (M1, KIP-853).
type Replica struct {
	Node      model.BrokerID
	Directory image.UUID
}

// id is how Raft names a replica. It comes from the directory, so that none is ever used twice: Raft's own rules then see
// to it that a wiped node neither votes nor is taken to have what its directory before had.
func (r Replica) id() uint64 {
	h := fnv.New64a()
	_, _ = h.Write(r.Directory[:])
	id := h.Sum64()
	for id == raft.None || raft.IsLocalMsgTarget(id) {
		id++
	}
	return id
}

// String is for messages.
func (r Replica) String() string { return fmt.Sprintf("node %d (directory %s)", r.Node, r.Directory) }

// replicas are those that the configuration names, by Raft's name for them.
type replicas map[uint64]Replica

// ofNode finds the replica of a node.
func (rs replicas) ofNode(n model.BrokerID) (Replica, bool) {
	for _, r := range rs { // at most one: see checkAdd
		if r.Node == n {
			return r, true
		}
	}
	return Replica{}, false
}

// sorted returns them by node.
func (rs replicas) sorted() []Replica {
	out := make([]Replica, 0, len(rs))
	for _, r := range rs {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Replica) int { return int(a.Node) - int(b.Node) })
	return out
}

// with returns a copy that has more replicas, of which only those stay that a configuration names.
func (rs replicas) with(more []Replica, cs *pb.ConfState) replicas {
	all := make(replicas, len(rs)+len(more))
	for id, r := range rs {
		all[id] = r
	}
	for _, r := range more {
		all[r.id()] = r
	}
	kept := make(replicas, len(all))
	for _, ids := range [][]uint64{cs.Voters, cs.Learners, cs.VotersOutgoing, cs.LearnersNext} {
		for _, id := range ids {
			if r, ok := all[id]; ok {
				kept[id] = r
			}
		}
	}
	return kept
}

// A list of replicas as bytes: format version, number, and for each its node and its directory.
const (
	replicasVersion = 1
	replicaBytes    = 4 + 16
)

var errReplicas = errors.New("not a list of replicas that this version can read")

func encodeReplicas(list []Replica) []byte {
	out := []byte{replicasVersion, byte(len(list))}
	for _, r := range list {
		out = binary.BigEndian.AppendUint32(out, uint32(r.Node))
		out = append(out, r.Directory[:]...)
	}
	return out
}

func decodeReplicas(data []byte) ([]Replica, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < 2 || data[0] != replicasVersion || len(data) != 2+int(data[1])*replicaBytes {
		return nil, errReplicas
	}
	list := make([]Replica, data[1])
	for i := range list {
		b := data[2+i*replicaBytes:]
		list[i].Node = model.BrokerID(int32(binary.BigEndian.Uint32(b)))
		copy(list[i].Directory[:], b[4:replicaBytes])
	}
	return list, nil
}
