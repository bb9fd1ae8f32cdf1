// Package fetchsession keeps incremental fetch sessions (KIP-227): what a consumer fetches from this
// broker is sent once, and from then on only the differences travel in either direction.
//
// Cache decides, without I/O and without a clock of its own, which session a request belongs to and
// which partitions its answer must name. It is bounded: a session that finds no room is refused, which
// the protocol expresses as session ID 0, and the client goes on with full fetches.
//
// Concurrency: Cache is safe for use from any goroutine. A Fetch belongs to the request that began it;
// a session that is in use refuses a second request at the same time, so a Fetch needs no lock.
package fetchsession
