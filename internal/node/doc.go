// Package node is the composition root: it builds a broker from its parts, in the order in which they
// depend on each other, and takes it down in the reverse order. It decides nothing else.
//
// Starting: lock the data directory, learn its identity, open the metadata log, make the replica set follow
// it, register this broker, listen, serve. Partitions open in the background, those first that are asked
// for, so that a start does not wait for them.
//
// Stopping: no new connections and requests, finish those in progress, close the logs with their clean
// marks, close the metadata log, unlock.
//
// Nothing but cmd, cli and tests imports this package.
package node
