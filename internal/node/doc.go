// Package node is the composition root: it builds a broker from its parts, in the order in which they
// depend on each other, and takes it down in the reverse order. It decides nothing else.
//
// Starting: lock the data directory, learn its identity, open the metadata log, make the replica set follow
// it, register this broker, listen, serve. Partitions open in the background, those first that are asked
// for, so that a start does not wait for them.
//
// Stopping: no new connections and requests, finish those in progress, end what this node coordinates, close the logs with their clean
// marks, close the metadata log, unlock.
//
// A node of a cluster (--raft-addr) starts otherwise: it listens for other nodes, finds out which cluster it belongs to or founds one (M5), opens its
// replica of the metadata log, has it taken into the quorum, waits until the metadata here are not older than anything acknowledged, opens all
// logs, registers with what recovery cut off (L2), and serves when the active controller has taken it into service. It stops by handing over
// what it leads, closing its logs, and saying goodbye. Package active beside it is the part of the active controller.
//
// Nothing but cmd, cli and tests imports this package.
package node
