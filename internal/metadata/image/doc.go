// Package image is the cluster's metadata at one index of the metadata log: an immutable value.
//
// Apply is the only way from one image to the next, and it is pure: the same batches in the same order give the same
// image on every node (M2), and a Delta that says what changed. A batch takes effect whole or not at all. A batch that
// does not fit the image it meets, because another one came first, is a *ConflictError: every node finds it so at
// the same index, leaves its image as it is but for the index, and the proposer decides again. Any other error means
// that this node must stop (M3).
//
// Images share structure: a change copies one bucket of topics, one topic's list of partitions and the partition
// itself, so that 10,000 partitions cost microseconds per change, and readers keep the image they hold for
// as long as they like.
//
// Concurrency: an Image and all that it returns are never changed; callers must not change them either. Store hands
// the current one over through one atomic pointer; it has one writer and any number of readers. There are
// no locks and no goroutines in this package.
package image
