package sharing

import (
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// Start takes the first image. There is nothing to be begun: share partitions are loaded when a member fetches from them.
func (s *Shares) Start(*image.Image) {}

// Follow ends what is led here no longer, or in another epoch.
func (s *Shares) Follow(_ *image.Image, d *image.Delta) {
	deleted := make(map[model.TopicID]bool, len(d.TopicsDeleted))
	for _, t := range d.TopicsDeleted {
		deleted[t.ID] = true
	}
	type partition struct {
		topic model.TopicID
		n     int32
	}
	moved := make(map[partition]bool)
	for _, p := range d.Partitions {
		if p.New.Leader != s.o.Node || p.Old == nil || p.Old.LeaderEpoch != p.New.LeaderEpoch {
			moved[partition{p.Topic.ID, p.Partition}] = true
		}
	}
	if len(deleted) == 0 && len(moved) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, parts := range s.groups {
		for p, l := range parts {
			switch {
			case deleted[p.TopicID]:
				l.tell(func(time.Time) { l.end(share.ErrUnknownPartition) })
			case moved[partition{p.TopicID, p.Partition}]:
				l.tell(func(time.Time) { l.end(replica.ErrNotLeader) })
			}
		}
	}
}

// Stop ends everything. Who waits is told that this broker leads no more.
func (s *Shares) Stop() {
	s.stop()
	s.alarm.Stop()
	s.mu.Lock()
	s.stopped = true
	for _, parts := range s.groups {
		for _, l := range parts {
			l.tell(func(time.Time) { l.end(replica.ErrNotLeader) })
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}
