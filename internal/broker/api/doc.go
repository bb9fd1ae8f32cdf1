// Package api answers Kafka's requests: one file per API key, named after it, each with the versions that it
// covers and what they add. What is not in the table of this package is not advertised to clients.
//
// A handler takes a request apart, asks the packages below (replica for partitions, metadata for
// everything else) and puts the answer together. It decides nothing that outlives the request. Errors become
// Kafka's codes in errors.go and nowhere else; no error becomes success (D4).
//
// What changes the metadata, and what only the active controller knows, is answered by a control: on this broker if it is alone, else on the
// active controller, to which the request is passed on. A handler of a control must give no answer that depends on what else this broker
// knows.
//
// Requests about groups are decided by the machine that coordinates the group (coordinating.go), wherever that runs: they carry nothing of the
// request's frame, since they may be decided when nobody waits for them any more.
//
// Concurrency: handlers run in their connection's reader goroutine and share nothing but the Broker, whose
// fields never change. Produce returns before its records are on disk; everything else answers before it returns: a
// member of a group that waits for others does so in the handler, for minutes if need be, until its connection or the server ends. What no
// handler waits for (errands.go) Close does.
package api
