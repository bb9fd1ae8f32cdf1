package sim

import (
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

const (
	dataDir = "/data"
	logsDir = dataDir + "/wal/partitions"
	// The journal's halves are small, so that they are filled.
	journalDir  = dataDir + "/wal/journal"
	journalHalf = 32 << 10
)

// disk is what a node keeps. It outlives the node's processes, and loses power with them.
type disk struct {
	w       *world
	owner   nodeID
	cells   *crashfs.FS // what it holds
	files   *faultfs.FS // over cells; what the node sees
	slow    time.Duration
	stall   time.Duration // until when no sync completes
	bad     int           // syncs and writes that were made to fail
	rules   []*faultfs.Fault
	limited bool       // it may be full
	first   bool       // it is the one that the node began with
	id      image.UUID // of the data directory (R7)
	// What a node writes down beside its logs.
	image        *image.Image // the newest metadata that it has applied
	stoppedClean bool
	spoken       uint64                        // the newest term in which it has sent something to the quorum
	damaged      map[partitionKey]bool         // logs that are to be thrown away
	untold       map[partitionKey]model.Offset // ends of logs that have lost something, until a registration that told of it was answered (L2)
	shadows      map[partitionKey]*shadow
	acks         map[ackKey]replication.Ack // those of most that were ever sent from here
}

// ackKey is a partition and who leads it.
type ackKey struct {
	partitionKey
	leader nodeID
}

// acked notes an acknowledgement.
func (d *disk) acked(r *replica, leader nodeID, a replication.Ack) {
	if k := (ackKey{partitionKey{r.id, r.num}, leader}); a.Own.Synced > d.acks[k].Own.Synced {
		d.acks[k] = a
	}
}

func newDisk(w *world, owner nodeID) *disk {
	d := &disk{w: w, owner: owner, shadows: make(map[partitionKey]*shadow), damaged: make(map[partitionKey]bool),
		untold: make(map[partitionKey]model.Offset), acks: make(map[ackKey]replication.Ack)}
	d.wipe()
	d.first = true
	return d
}

// wipe puts an empty disk in the place of this one.
func (d *disk) wipe() {
	d.id, d.image, d.stoppedClean, d.first, d.spoken = d.w.uuid(), nil, false, false, 0
	for _, s := range d.shadows {
		*s = shadow{}
	}
	clear(d.damaged)
	clear(d.untold)
	d.install(crashfs.New(d.w.rng.Uint64()))
	if err := d.files.MkdirAll(logsDir); err != nil {
		panic(err) // a disk in memory
	}
}

func (d *disk) install(cells *crashfs.FS) {
	d.cells, d.files = cells, faultfs.New(cells)
	d.slow, d.stall, d.rules, d.limited = 0, 0, nil, false
}

// crash cuts the power. What was not synced stays, goes or tears, as mode says. With crashfs.Keep only the process has died: what it
// wrote is in the page cache, and the power may fail before it is on the disk.
func (d *disk) crash(mode crashfs.Mode) {
	if mode == crashfs.Keep {
		d.install(d.cells)
		return
	}
	for _, s := range d.shadows {
		s.dark = true
	}
	d.install(d.cells.Crash(mode))
}

// partitionKey names a partition for good.
type partitionKey struct {
	id  model.TopicID
	num int32
}

// shadow returns what is known of a replica that lies on the disk.
func (d *disk) shadow(id model.TopicID, num int32) *shadow {
	k := partitionKey{id, num}
	if d.shadows[k] == nil {
		d.shadows[k] = new(shadow)
	}
	return d.shadows[k]
}

// lag is how much longer a sync takes where replicas are to lie behind each other, at most.
const lag = 60 * time.Millisecond

// syncTime draws how long a sync takes.
func (d *disk) syncTime() time.Duration {
	t := d.w.between(100*time.Microsecond, 2*time.Millisecond)
	if d.w.lagging {
		t += d.w.between(0, lag)
	}
	if d.slow > 0 {
		t += d.w.between(0, d.slow)
	}
	if d.stall > d.w.now {
		t += d.stall - d.w.now
	}
	return t
}

// holdsRecords tells whether a file is a segment of a partition's log, or a half of the journal.
func holdsRecords(c faultfs.Call) bool {
	return strings.HasPrefix(c.Name, logsDir) && strings.HasPrefix(path.Base(c.Name), "segment_") || path.Dir(c.Name) == journalDir
}

// failNext has the next call of a kind on records fail with EIO (D3).
func (d *disk) failNext(op faultfs.Op) {
	d.bad++
	d.rules = append(d.rules, d.files.Inject(faultfs.Rule{Ops: op, Match: holdsRecords, Times: 1, Err: syscall.EIO}))
}

// repair ends all that is wrong with the disk.
func (d *disk) repair() {
	for _, r := range d.rules {
		r.Stop()
	}
	d.rules = nil
	d.slow, d.stall = 0, 0
	d.limited = false
	d.files.UnlimitSpace()
}

// fill leaves so many bytes on the disk.
func (d *disk) fill(left int64) { d.limited = true; d.files.LimitSpace(left, syscall.ENOSPC) }

// header is how long a segment's header is.
const header = 4096

// flip turns one bit in a segment over, somewhere behind its header. It reports whether there was one to turn.
func (d *disk) flip() bool {
	var names []string
	d.walk(logsDir, func(name string, size int64) {
		if strings.HasPrefix(path.Base(name), "segment_") && size > header {
			names = append(names, name)
		}
	})
	if len(names) == 0 {
		return false
	}
	name := names[d.w.rng.IntN(len(names))]
	info, err := d.cells.Stat(name)
	if err != nil {
		panic(err)
	}
	at := header + d.w.rng.Int64N(info.Size-header)
	for d.unchecked(name, at) {
		at = header + d.w.rng.Int64N(info.Size-header)
	}
	if err := d.cells.BitFlip(name, at, uint(d.w.rng.IntN(8))); err != nil {
		panic(fmt.Sprintf("flipping a bit of %s at %d: %v", name, at, err))
	}
	for k, s := range d.shadows {
		if name[:strings.LastIndexByte(name, '/')] == logDir(d.w.ledgers[k].topic, k.num) {
			s.flipped = true
		}
	}
	return true
}

// unchecked tells whether a byte of a segment belongs to a batch's leader epoch, which no checksum covers: Kafka's format has it so. A replica with
// a leader epoch from the future is refused by its leader for ever, until somebody throws its log away.
func (d *disk) unchecked(name string, at int64) bool {
	const epochAt, epochEnd = 12, 16 // within a batch
	content, err := vfs.ReadFile(d.cells, name)
	if err != nil {
		panic(err)
	}
	for base, rest := int64(header), content[header:]; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return false
		}
		if at >= base+epochAt && at < base+epochEnd {
			return true
		}
		base, rest = base+int64(len(b)), more
	}
	return false
}

// logDir is where a partition's log is.
func logDir(topic string, num int32) string {
	return logsDir + "/" + model.TopicPartition{Topic: topic, Partition: num}.String()
}

// remove takes a partition's directory away. It may come back with a crash, or stay where the disk fails: then it is found when the
// partition is opened again.
func (d *disk) remove(topic string, num int32) {
	if err := d.files.RemoveAll(logDir(topic, num)); err == nil {
		_ = d.files.SyncDir(logsDir)
	}
}

// throwAway removes a damaged log, so that the replica begins anew (L2).
func (d *disk) throwAway(k partitionKey) {
	if err := d.files.RemoveAll(logDir(d.w.ledgers[k].topic, k.num)); err != nil {
		return
	}
	delete(d.damaged, k)
	d.lost(k, 0)
	_ = d.files.SyncDir(logsDir)
	*d.shadow(k.id, k.num) = shadow{}
}

// lost notes that a log has lost what lay from an offset on.
func (d *disk) lost(k partitionKey, end model.Offset) {
	if was, ok := d.untold[k]; !ok || end < was {
		d.untold[k] = end
	}
}

// walk visits the files below a directory, in the order of their names.
func (d *disk) walk(dir string, visit func(name string, size int64)) {
	entries, err := d.cells.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := dir + "/" + e.Name
		if e.IsDir {
			d.walk(name, visit)
			continue
		}
		if info, err := d.cells.Stat(name); err == nil {
			visit(name, info.Size)
		}
	}
}

var _ vfs.FS = (*faultfs.FS)(nil)
