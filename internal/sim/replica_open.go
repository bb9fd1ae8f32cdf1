package sim

import (
	"errors"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

func (r *replica) openLog() {
	n := r.n
	if k := (partitionKey{r.id, r.num}); n.disk.damaged[k] {
		n.w.note(n.id, "throws a damaged log away")
		n.disk.throwAway(k)
	}
	l, found, err := r.openFiles()
	if errors.Is(err, wal.ErrIdentity) { // of a topic that had the same name (L5)
		n.w.note(n.id, "removes the log of another topic")
		n.disk.remove(r.topic, r.num)
		l, found, err = r.openFiles()
	}
	r.epoch = model.NoEpoch
	if err != nil && n.disk.bad > 0 {
		n.w.note(n.id, "cannot open its log: the disk fails")
		r.failed = err
		return
	}
	if err != nil {
		n.w.fail("L1", "%v: opening its log: %v", r, err)
		return
	}
	r.log = l
	if found.TruncatedBytes > 0 {
		n.w.stats[tornCrashes]++
	}
	if found.Corruption != nil {
		r.damaged(found.Corruption)
	}
	n.w.note(n.id, "opens its log: %d to %d, %d bytes cut off", int64(found.Start), int64(found.End), found.TruncatedBytes)
	if r.failed != nil {
		return
	}
	content, err := r.readAll()
	if err != nil {
		r.damaged(err)
		return
	}
	err = r.shadow.recovered(l.Start(), content, r.book.relaxed)
	switch {
	case err != nil && r.shadow.flipped:
		r.shadow.adopt(l.Start(), content)
	case err != nil:
		n.w.fail("L1", "%v: %v", r, err)
	}
}

func (r *replica) openFiles() (*wal.Log, wal.Recovery, error) {
	n := r.n
	n.opening = true
	defer func() { n.opening = false }()
	return wal.Open(wal.Options{
		FS: n.w.bugs.disk(n, n.disk.files), Dir: logDir(r.topic, r.num),
		Partition: model.TopicPartition{Topic: r.topic, Partition: r.num}, TopicID: r.id,
		Config: n.w.configOf(r.topic), Committer: n.stepper.Committer(), Now: n.wall, Observer: observer{r},
		BeforeCut: func(end model.Offset) error { n.disk.lost(partitionKey{r.id, r.num}, end); return nil },
	})
}

// readAll lists the batches in the log.
func (r *replica) readAll() (all []stored, err error) {
	for at := r.log.Start(); at < r.log.DurableEnd(); {
		bytes, next, err := r.read(at, r.log.DurableEnd(), 1<<20)
		if err != nil {
			return all, err
		}
		for rest := bytes; len(rest) > 0; {
			b, more, err := record.Next(rest)
			if err != nil {
				return all, err
			}
			all, rest = append(all, storedOf(b)), more
		}
		at = next
	}
	return all, nil
}

// read returns durable batches from an offset on.
func (r *replica) read(from, limit model.Offset, most int) ([]byte, model.Offset, error) {
	region, err := r.log.Read(from, limit, most, true)
	if err != nil {
		return nil, from, err
	}
	defer region.Release()
	bytes, err := region.ReadAll(nil)
	return bytes, region.Next(), err
}

// damaged notes that the log's bytes are not what was written. Only a bit that was flipped on purpose explains that.
func (r *replica) damaged(err error) {
	r.n.w.note(r.n.id, "finds its log damaged")
	if !r.shadow.flipped {
		r.n.w.fail("L2", "%v is damaged: %v", r, err)
	}
	r.fail(err)
	n, birth := r.n, r.n.birth
	n.disk.damaged[partitionKey{r.id, r.num}] = true
	n.w.after(0, func() {
		if n.birth == birth {
			n.w.down(n, crashfs.Keep) // it begins anew, without the log
		}
	})
}
