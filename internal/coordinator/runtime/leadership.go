package runtime

import (
	"slices"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// Start takes the image that the metadata log led to at start.
func (c *Coordinator[M]) Start(im *image.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.image = im
		c.reconcile(im)
	}
}

// Follow takes one change of the metadata, after the partitions have.
func (c *Coordinator[M]) Follow(im *image.Image, d *image.Delta) {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return
	}
	c.image = im
	before := c.table.Load().seats // those that begin now have the change in their image
	var over []*seat[M]
	if c.concerns(d) {
		over = c.reconcile(im)
	}
	c.mu.Unlock()
	for _, s := range over {
		s.end()
	}
	for _, s := range before {
		if s != nil {
			s.follow(im, d)
		}
	}
}

// concerns tells whether a change may be about who leads what.
func (c *Coordinator[M]) concerns(d *image.Delta) bool {
	topic := func(t *image.Topic) bool { return t.Name == c.o.Topic.Name }
	return slices.ContainsFunc(d.TopicsCreated, topic) || slices.ContainsFunc(d.TopicsDeleted, topic) ||
		slices.ContainsFunc(d.Partitions, func(p image.PartitionChange) bool { return topic(p.Topic) })
}

// reconcile brings the table to the metadata, and returns the seats that are not in it any more. The caller holds the mutex.
func (c *Coordinator[M]) reconcile(im *image.Image) (over []*seat[M]) {
	old, next := c.table.Load(), new(table[M])
	if t := im.Topic(c.o.Topic.Name); t != nil {
		next.topic, next.seats = t.ID, make([]*seat[M], len(t.Partitions))
		for i, p := range t.Partitions {
			if p.Leader != c.o.Node {
				continue
			}
			if t.ID == old.topic && i < len(old.seats) && old.seats[i] != nil && old.seats[i].epoch == p.LeaderEpoch {
				next.seats[i] = old.seats[i]
				continue
			}
			next.seats[i] = c.begin(model.TopicPartition{Topic: t.Name, Partition: int32(i)}, p.LeaderEpoch)
		}
	}
	for i, s := range old.seats {
		if s != nil && (i >= len(next.seats) || next.seats[i] != s) {
			over = append(over, s)
		}
	}
	c.table.Store(next)
	return over
}

// begin makes a seat that loads. The caller holds the mutex.
func (c *Coordinator[M]) begin(tp model.TopicPartition, epoch model.LeaderEpoch) *seat[M] {
	s := &seat[M]{c: c, partition: tp, epoch: epoch, by: replica.Coordinator{Epoch: epoch}, image: c.image, gone: make(chan struct{})}
	c.running.Go(s.load)
	return s
}

// replace has another seat load in the place of one whose memory and log have parted.
func (c *Coordinator[M]) replace(s *seat[M]) {
	c.mu.Lock()
	old := c.table.Load()
	at := int(s.partition.Partition)
	if !c.stopped && at < len(old.seats) && old.seats[at] == s {
		next := &table[M]{topic: old.topic, seats: slices.Clone(old.seats)}
		next.seats[at] = c.begin(s.partition, s.epoch)
		c.table.Store(next)
	}
	c.mu.Unlock()
	s.end()
}

// Stop ends all seats: whoever waits is answered with shard.ErrNotCoordinator. When it returns, nothing of this package runs but in callers of
// Ask that have not returned.
func (c *Coordinator[M]) Stop() {
	c.mu.Lock()
	c.stopped = true
	old := c.table.Swap(&table[M]{seats: make([]*seat[M], len(c.table.Load().seats))}) // as if others led everything
	c.mu.Unlock()
	for _, s := range old.seats {
		if s != nil {
			s.end()
		}
	}
	c.alarm.Stop()
	c.running.Wait()
}
