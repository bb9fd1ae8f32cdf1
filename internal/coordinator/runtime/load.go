package runtime

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// After a load that failed the next one waits, longer each time.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 30 * time.Second
)

// errGone: the seat ended while it loaded.
var errGone = errors.New("the leader epoch is over")

// load loads the seat. It does not give up: while it fails, nobody else could do better in this epoch.
func (s *seat[M]) load() {
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		err := s.tryLoad()
		if err == nil || errors.Is(err, errGone) {
			return
		}
		s.c.o.Log.Error("a coordinator cannot load its partition; it is tried again", "partition", s.partition.String(), "epoch", int32(s.epoch),
			"after", pause.String(), "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.gone:
			timer.Stop()
			return
		}
	}
}

func (s *seat[M]) tryLoad() error {
	c := s.c
	log := c.o.Partition(s.partition)
	if log == nil {
		return replica.ErrUnknownPartition
	}
	until, err := s.await(log)
	if err != nil {
		return err
	}
	if !c.gate.enter(&s.wanted, s.gone) {
		return errGone
	}
	start := time.Now()
	limits, machine := c.o.Limits(), c.o.Machine()
	sh := shard.New(shard.Options{
		Partition: s.partition, Topic: c.o.Topic, Machine: machine, Patience: limits.Patience,
		Effect: func(e shard.Effect) { c.o.Effect(Source[M]{s}, e) },
		Leads:  func() error { return log.Leads(s.epoch) },
	}, until)
	r := reader{log: log, epoch: s.epoch, until: until, pieceBytes: limits.LoadBytes, gone: s.gone}
	records, err := r.replay(sh)
	c.gate.leave()
	if err != nil {
		return err
	}
	took := time.Since(start)
	c.loads.Add(1)
	c.loadNanos.Add(int64(took))
	c.o.Log.Info("coordinator loaded", "partition", s.partition.String(), "epoch", int32(s.epoch), "records", records, "of_unknown_types", sh.Skipped(),
		"until", int64(until), "took", took.String())
	s.serve(log, sh, machine)
	return nil
}

// await waits until the replica leads in the seat's epoch and all that its log holds is safe, and returns where that ends. Nobody appends
// before the seat serves, so that is where it stays.
func (s *seat[M]) await(log Partition) (until model.Offset, err error) {
	w := replica.NewWatcher()
	log.Watch(w)
	defer log.Unwatch(w)
	for {
		end, err := log.LeaderEnd(s.epoch)
		switch {
		case err == nil && log.HighWatermark() >= end:
			return end, nil
		case err != nil && !errors.Is(err, replica.ErrNotLeader):
			return end, fmt.Errorf("waiting until it leads: %w", err)
		}
		select {
		case <-w.C():
		case <-s.gone:
			return end, errGone
		}
	}
}
