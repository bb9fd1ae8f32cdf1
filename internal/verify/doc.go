// Package verify writes to a cluster and reads from it while somebody kills, cuts and stalls its parts, records what the clients saw, and says
// at the end whether every promise was kept. The cluster may be any that speaks Kafka's protocol. package history is the judge.
//
//	run, err := verify.Start(ctx, verify.Options{Brokers: brokers, Partitions: 3, Replication: 3})
//	killed := time.Now()
//	... kill a leader ...
//	gap, err := run.Await(ctx, partition, killed) // gap.To.Sub(killed): until the next acknowledged write
//	report, err := run.Stop(ctx)                  // when all is healed
//	if !report.OK() { t.Error(report) }
//
// Producers keep some records outstanding per partition, so that a partition without a leader does not stop the others, and go on by
// themselves: all but Once retry until an answer comes. Consumers read all partitions, assigned, without a group: from leaders, from followers (KIP-392), or
// leaving and coming back at the offset behind their last. An observer asks for leaders and log ends. When the producers have ended, everything is
// read from the start of the log.
//
// What the verdict rests on: an invocation is recorded before the client has the record, an outcome after it is known, all on one monotonic clock in
// one process. A write failed for certain only if the client had not sent it, or the broker refuses it whenever it comes, or refused the only
// attempt before an append; every other error is an unknown outcome.
//
// Concurrency: a Run's methods may be called from any goroutine, Stop once. All events pass one mutex, in the order of their times.
package verify
