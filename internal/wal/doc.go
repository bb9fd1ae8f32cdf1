// Package wal is the log of one partition: append, group commit, read, truncate, delete, recover. Topics'
// records, the cluster's metadata, group offsets and transactions are all logs of this kind.
//
// # Why it is built this way
//
// Every acknowledged record is synced. A sync costs between a tenth of a millisecond and several, whatever
// it carries, so the question is how many records share one, and what else a sync has to do.
//
// Group commit without a timer. An append does no I/O: under the log's mutex it is checked, gets its offset,
// is stamped, and joins the group that is queued (D5). Whoever has the turn of the log, mostly a worker of
// the device's Committer, takes the whole group, writes it with one gathering write, syncs, and tells all
// its waiters; meanwhile the next group gathers. So the sync in flight is the window: one lone append waits
// for nobody, a hundred share one sync, and there is nothing to tune. A timer would have set the latency
// of every client that waits for its answer before it sends on.
//
// Cheap syncs. A sync that has to make a longer file durable commits the file system's journal too, which
// costs more than the data. So space is zeroed ahead of a busy log, by another goroutine, and the commit path
// writes into it (space). Quiet logs get none of it, and big groups extend the file: there the journal is
// the small part.
//
// One sync for many logs. While more than a few logs are busy, a round takes the small groups of all of
// them: each is written into its own segment, and one record in the device's journal makes them all durable. What
// only the journal holds counts as synced, because OpenJournal puts it back before any log is opened. A
// segment's next sync, at the latest the settler's, frees the journal of it. Before a log's files change so that
// those bytes would be wrong, the journal is told that they are void (L3). See journal.go and docs/design/0002.
//
// Fair workers. Past a few files in flight, more of them at once make a device slower. The Committer has a
// fixed number of workers. A log goes on with its next group while nobody else waits, and else queues
// again at the end.
//
// One place for what is known to be durable. The mark, in the segment's own header page, says up to where
// the log is synced (L2). It goes to disk with a group that is written anyway, so that knowing it costs no
// sync, and it carries log start, leader epochs, and the producers and transactions if they are few. Most
// partitions therefore consist of one file. A crash leaves nothing to reconcile: what lies below the mark
// is trusted, and if it is damaged that is rot and said so; what lies past it is scanned, and where it
// breaks off it is a torn tail nobody was promised.
//
// Nothing stale can come back. Positions are written once. Only a truncation, a torn tail and a failed write leave
// bytes behind the end; they are cut off and the cut is synced before anything is written there (L3).
//
// Reading does not copy. Read finds a range of whole batches and returns it as a Region: an open file, a
// position, a length. The bytes go from the page cache to the socket when the response is written. What was
// not written since the log was opened is held against its checksums once, before it first leaves.
//
// # Parts
//
//	core.go, group.go, state.go   what goes where, and what is durable: no I/O, no clock, no goroutine
//	log.go                        the API: a mutex around the core
//	committer.go, commit.go       the device's workers, and one group's way to the disk
//	round.go, join.go, settle.go  groups of many logs with one sync, and how the journal gets free of them
//	journal.go, journalreplay.go  a log's side of the journal; putting back what only it holds
//	roll.go, zeroer.go, upkeep.go new segments; space ahead; index, marks and snapshots, behind the commits
//	read.go, region.go, scan.go   finding and checking batches; lookup.go by time
//	recover.go, restore.go,
//	recoverindex.go               Open
//	floor.go                      what a truncation can still learn of producers whose batches are deleted
//	truncate.go, retention.go,
//	close.go                      the rarer changes
//	compact.go, compactread.go,
//	compactwrite.go,
//	compactswap.go,
//	compactroll.go                a round of compaction; wal/compact decides what stays, docs/design/0005 says why so
//	compactformat.go,
//	compactopen.go                what it leaves in the files, and what recovery makes of it
//	format.go, segment.go,
//	index.go, indexfile.go        what is in the files, see docs/format
//	files.go, behind.go           bounded open files and page cache
//
// # Concurrency
//
// A log has one mutex, held for moments and never across I/O or a call to a waiter or an observer;
// what could panic under it has the unlock deferred (Log.locked), so that a broken invariant ends the process instead of halting it. The right
// to do I/O is handed on in two batons (baton): the turn, to write, sync, roll, cut and delete segments; and
// the upkeep, for index and snapshot files. Whoever needs both takes the upkeep first. Files that are read are held
// by reference. An idle log has no goroutine, no timer, no open file and no buffer.
//
// # Failure
//
// A failed sync or write fences the log for good (D3): Linux may drop the pages and report success the next
// time. Only a full disk, while writing, costs no more than the appends it met: the partial group is cut off,
// their producers' state goes back, and the log stays (E3). Every append that was accepted is answered
// exactly once, whatever happens.
package wal
