package sim

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/wal"
)

// standalone is the metadata of a node that is alone: the real log of one voter.
type standalone struct {
	n       *node
	log     *quorum.Local
	stepper *wal.Stepper
}

// absent tells whether the node was not bought yet.
func (n *node) absent() bool { return n.w.alone && n.id != 1 }

// openAlone opens the metadata of a node alone, and registers it. It reports whether that worked.
func (n *node) openAlone() bool {
	s := &standalone{n: n, stepper: wal.NewStepper(wal.CommitterOptions{FS: n.disk.files, OpenFiles: 4, Now: n.wall})}
	log, err := quorum.OpenLocal(quorum.Options{FS: n.disk.files, Dir: metaDir, ClusterID: clusterID, Now: n.wall, Log: discard, Committer: s.stepper.Committer()})
	if err == nil {
		s.log, n.alone, n.session = log, s, true
		log.Follow(func(*image.Image, *image.Delta) {})
		r := controller.Registration{ClusterID: clusterID, ID: n.broker(), Incarnation: n.incarnation, Directory: n.disk.id}
		err = s.decide(func(in controller.Inputs) ([]*command.Command, error) { return controller.RegisterNode(in, r) })
	}
	if err != nil {
		if !n.disk.limited {
			n.w.fail("M3", "%v does not start: %v", n, err)
		}
		n.w.note(n.id, "does not start: its metadata cannot be read or written")
		return false
	}
	n.known = true
	clear(n.disk.untold) // nobody is there who could compare logs
	n.w.note(n.id, "is alone, with epoch %d", int64(n.epoch))
	return true
}

// decide changes the metadata, and follows them. The proposer waits for the disk, which is this goroutine: so it is another one while it does. They take
// turns, one waiting for what the other does, and what happens does not depend on when.
func (s *standalone) decide(decide controller.Decision) error {
	n := s.n
	done := make(chan error, 1)
	go func() {
		_, err := s.log.Propose(context.Background(), func(im *image.Image) ([]*command.Command, error) {
			return decide(controller.Inputs{Image: im, Static: n.w.static, NodeID: n.broker(), NewTopicID: func() model.TopicID { return model.TopicID(n.w.uuid()) }})
		})
		done <- err
	}()
	var err error
	for over := false; !over; runtime.Gosched() {
		select {
		case err = <-done:
			over = true
		default:
			if group, ok := s.stepper.Write(); ok && group != nil {
				group.Sync()
			}
		}
	}
	im := s.log.Images().Load()
	n.epoch = model.BrokerEpoch(im.Node(n.broker()).Epoch)
	n.w.learned(n, quorum.Change{Index: im.Index(), Term: im.Term(), Image: im})
	n.adopt(im)
	return err
}

// serve answers an operator who creates and deletes topics; there is nothing else to administer on a node alone.
func (s *standalone) serve(req any, reply func(any)) {
	m, ok := req.(topicRequest)
	if !ok {
		reply(controlAnswer{inactive: true})
		return
	}
	err := s.decide(func(in controller.Inputs) ([]*command.Command, error) { return decideTopics(in, m) })
	if errors.Is(err, quorum.ErrStopped) {
		s.n.w.fail("M3", "%v: the metadata log has stopped: %v", s.n, err)
	}
	reply(controlAnswer{err: err})
}

// grow makes the node that is alone the first one of a cluster, and has its topics replicated (M5).
func (w *world) grow() {
	if !w.alone {
		return
	}
	w.note(0, "two or more nodes join the one that was alone")
	w.stats[growths]++
	first := w.nodes[1]
	if w.one(2) {
		first.close()
	}
	first.crash(w.crashMode()) // if it is still there
	w.alone = false
	for _, n := range w.nodes[1:] {
		w.after(w.between(0, 500*time.Millisecond), n.start)
	}
	for _, name := range slices.Concat(w.topics, w.inner()) {
		for num := range w.partitionsOf(name) {
			w.raise(model.TopicPartition{Topic: name, Partition: num})
		}
	}
}

// raise asks for a topic to have as many replicas as others, until it has some.
func (w *world) raise(tp model.TopicPartition) {
	w.raising++
	w.insist(func() bool {
		t := w.truth.Topic(tp.Topic)
		done := t != nil && len(t.Partitions[tp.Partition].Replicas) > 1 && !t.Partitions[tp.Partition].Reassigning()
		if done {
			w.raising--
		}
		return done
	}, func() any {
		t := w.truth.Topic(tp.Topic)
		if t == nil || t.Partitions[tp.Partition].Reassigning() {
			return nil
		}
		target := append([]model.BrokerID(nil), t.Partitions[tp.Partition].Replicas...)
		for _, n := range w.truth.Nodes() {
			if len(target) < w.factor() && !holdsReplica(t.Partitions[tp.Partition], n.ID) {
				target = append(target, n.ID)
			}
		}
		if len(target) < 2 {
			return nil
		}
		return reassignRequest{[]controller.Reassignment{{TopicPartition: tp, Replicas: target}}}
	})
}
