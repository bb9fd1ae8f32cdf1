// Package timeline is maps whose changes belong to records of a log: a change counts at once, is settled when the high watermark
// has passed its record, and is taken back if the log refuses the record.
//
// A Log has the changes that are pending, of any number of maps, in the order of their records. Get answers with them and Settled without: a
// coordinator decides on the one and lets readers see the other (G1).
//
// Invariants:
//   - Revert(from) leads to exactly the maps before the first change at or above from;
//   - Settled(k) is what Get(k) was, or would have been, when all changes below the watermark and no others had been made;
//   - memory beyond that of plain maps is that of the pending changes.
//
// Values are replaced, never changed in place: the maps hand out what they hold. The package does no I/O, reads no clock and starts no
// goroutine. A Log and its maps are not safe for concurrent use: a shard's turn guards them.
package timeline
