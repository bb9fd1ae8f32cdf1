package replication

// broken switches single rules off. Only the tests that show that the rules are needed, and that the model test would notice, set
// any of it: the zero value is the only one that is right.
type broken struct {
	watermarkFromEnd bool // D1: the watermark is taken from the log ends, not from what is synced
	belowMinISR      bool // D1: it advances with fewer members than the effective min.insync.replicas
	noMaximalISR     bool // R3: a proposed ISR counts instead of the committed one as soon as it is sent
	noEpochStart     bool // R3: a member joins at the watermark, below the start of the leader epoch
	skipTruncation   bool // R2: a diverged follower is taken as it is
	ackByOffset      bool // D5: an acknowledgement counts whatever epoch and subscription it belongs to
	batchesByOffset  bool // D5: batches are appended whatever epoch and subscription they belong to
}
