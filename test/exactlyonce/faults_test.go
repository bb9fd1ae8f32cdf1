package exactlyonce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"chronik/internal/wait"
)

// fault is something that goes wrong, and is right again when run returns. What it did is the string.
type fault func(ctx context.Context, s *story) (string, error)

var faults = []fault{
	killProcessor, killProcessor, pauseProcessor,
	killGroupCoordinator, killTransactionCoordinator, killLeader, killBoth,
}

// killProcessor: its successor either takes the transactional ID over, which ends what was open, or leaves that to the timeout.
func killProcessor(_ context.Context, s *story) (string, error) {
	p, fresh := s.pool[s.rng.IntN(processors)], s.rng.IntN(3) == 0
	p.kill(fresh)
	return fmt.Sprintf("processor %d killed, next as %s", p.index, p.id()), nil
}

// pauseProcessor makes a zombie: the group goes on without it, and then it goes on as well.
func pauseProcessor(ctx context.Context, s *story) (string, error) {
	p := s.pool[s.rng.IntN(processors)]
	pause := sessionTimeout/2 + rand.N(2*sessionTimeout)
	p.signal(syscall.SIGSTOP)
	err := wait.For(ctx, pause)
	p.signal(syscall.SIGCONT)
	return fmt.Sprintf("processor %d stood still for %v", p.index, pause.Round(time.Millisecond)), err
}

func killGroupCoordinator(ctx context.Context, s *story) (string, error) {
	all := s.admin.FindGroupCoordinators(ctx, group)
	c, err := all[group], all.Error()
	if err != nil {
		return "", err
	}
	return s.killNode(ctx, int(c.NodeID), "the group's coordinator")
}

func killTransactionCoordinator(ctx context.Context, s *story) (string, error) {
	id := s.pool[s.rng.IntN(processors)].id()
	all := s.admin.FindTxnCoordinators(ctx, id)
	c, err := all[id], all.Error()
	if err != nil {
		return "", err
	}
	return s.killNode(ctx, int(c.NodeID), "the coordinator of "+id)
}

func killLeader(ctx context.Context, s *story) (string, error) {
	topic, p := []string{input, output}[s.rng.IntN(2)], int32(s.rng.IntN(partitions))
	all, err := s.admin.ListTopics(ctx, topic)
	if err != nil {
		return "", err
	}
	leader := all[topic].Partitions[p].Leader
	if leader < 1 {
		return fmt.Sprintf("nobody leads %s-%d", topic, p), nil
	}
	return s.killNode(ctx, int(leader), fmt.Sprintf("the leader of %s-%d", topic, p))
}

// killBoth: a processor, and at the same time the node that would tell others of it.
func killBoth(ctx context.Context, s *story) (string, error) {
	one, _ := killProcessor(ctx, s)
	two, err := killTransactionCoordinator(ctx, s)
	return one + "; " + two, err
}

// killNode kills a node, and starts it again after a while.
func (s *story) killNode(ctx context.Context, id int, why string) (string, error) {
	n, dead := s.nodes[id-1], time.Duration(s.rng.Int64N(int64(1500*time.Millisecond)))
	n.kill()
	if err := wait.For(ctx, dead); err != nil {
		return "", err
	}
	if err := n.launch(); err != nil {
		return "", err
	}
	return fmt.Sprintf("node %d, %s, killed for %v", id, why, dead.Round(time.Millisecond)), n.awaitReady(ctx)
}
