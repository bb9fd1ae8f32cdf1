package sim

import (
	"slices"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// stockTopic is what transactions write to besides booksTopic. It is made anew, and records of it are deleted, while they are open: they must end all the same, and be what
// they are everywhere else (T3, T4).
const stockTopic = "stock"

// shelves are all partitions that transactions write to: booksTopic's, and stockTopic's one.
const shelves = booksPartitions + 1

// shelf is the partition of a number.
func shelf(num int32) model.TopicPartition {
	if num < booksPartitions {
		return model.TopicPartition{Topic: booksTopic, Partition: num}
	}
	return model.TopicPartition{Topic: stockTopic}
}

// shelf is the number of a partition, if it is one that transactions write to.
func (l *ledger) shelf() (num int32, ok bool) {
	switch l.topic {
	case booksTopic:
		return l.key.num, true
	case stockTopic:
		return booksPartitions, true
	}
	return 0, false
}

// gone tells whether the topic of a partition was deleted.
func (l *ledger) gone() bool { return l.w.truth.TopicByID(l.key.id) == nil }

// gone tells whether the topic that a batch stands in was deleted: nobody says what becomes of it.
func (p *piece) gone() bool { return p.at != nil && p.at.gone() }

// restock makes the topic anew.
func (w *world) restock() {
	w.stocked(w.now+stockWait, func(t *image.Topic, _ *ledger) { w.renew(t) })
}

// clearStock deletes records of it, of the oldest transaction that is open, too.
func (w *world) clearStock() {
	w.stocked(w.now+stockWait, func(_ *image.Topic, l *ledger) {
		oldest := l.end()
		for _, s := range l.transactions.open { // in whatever order
			oldest = min(oldest, s.first)
		}
		for _, n := range w.nodes[1:] {
			for _, r := range n.replicas {
				if r.book == l {
					r.deleteSome(oldest)
				}
			}
		}
	})
}

// stockWait is how long somebody who wants to do something to stockTopic waits for a transaction that is open on it.
const stockWait = time.Second

// stocked does something to the topic when there is one.
func (w *world) stocked(deadline time.Duration, f func(*image.Topic, *ledger)) {
	if t := w.truth.Topic(stockTopic); t != nil {
		if l := w.ledger(t.ID, 0, stockTopic); len(l.transactions.open) > 0 {
			f(t, l)
			return
		}
	}
	if w.now < deadline && !w.calm {
		w.after(5*time.Millisecond, func() { w.stocked(deadline, f) })
	}
}

// beheads counts records of open transactions that are to be deleted.
func (l *ledger) beheads(to model.Offset) {
	for _, s := range l.transactions.open { // in whatever order
		if s.first < to {
			l.w.stats[beheaded]++
		}
	}
}

// orphans counts topics that are deleted while transactions are open on them.
func (l *ledger) orphans(old *image.Image) {
	if len(l.transactions.open) > 0 && old.TopicByID(l.key.id) != nil {
		l.w.stats[orphaned]++
	}
}

// from is the first batch of a transaction that a log holds which begins at an offset.
func (s *span) from(start model.Offset) (first model.Offset, ok bool) {
	i, _ := slices.BinarySearch(s.bases, start)
	if i == len(s.bases) {
		return model.NoOffset, false
	}
	return s.bases[i], true
}
