package exactlyonce

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"chronik/internal/wait"
)

// fault is something that goes wrong, and is right again when run returns. What it did is the string.
type fault func(ctx context.Context, s *story) (string, error)

// faults are drawn with equal chances. Nearly half are zombies: a processor that is dead commits nothing that it should not.
var faults = []fault{
	killProcessor, killProcessor,
	pauseProcessor, pauseProcessor, pauseProcessor, pauseAll, pauseAndKillCoordinator,
	killGroupCoordinator, killTransactionCoordinator, killLeader, killBoth,
}

// killProcessor: its successor either takes the transactional ID over, which ends what was open, or leaves that to the timeout.
func killProcessor(_ context.Context, s *story) (string, error) {
	p, fresh := s.pool[s.rng.IntN(processors)], s.rng.IntN(3) == 0
	p.kill(fresh)
	return fmt.Sprintf("processor %d killed, next as %s", p.index, p.id()), nil
}

// beyond is a pause that a session does not survive, and an open transaction only sometimes.
func (s *story) beyond() time.Duration {
	return sessionTimeout + time.Duration(s.rng.Int64N(int64(transactionTimeout)))
}

// pauseProcessor makes a zombie: the group goes on without it, and then it goes on as well.
func pauseProcessor(ctx context.Context, s *story) (string, error) {
	p, pause := s.pool[s.rng.IntN(processors)], s.beyond()
	p.signal(syscall.SIGSTOP)
	err := wait.For(ctx, pause)
	p.signal(syscall.SIGCONT)
	return fmt.Sprintf("processor %d stood still for %v", p.index, pause.Round(time.Millisecond)), err
}

// pauseAll leaves nobody in the group; the first that wakes finds it empty, the other one finds the first.
func pauseAll(ctx context.Context, s *story) (string, error) {
	pause, apart := s.beyond(), time.Duration(s.rng.Int64N(int64(sessionTimeout)))
	for _, p := range s.pool {
		p.signal(syscall.SIGSTOP)
	}
	err := wait.For(ctx, pause)
	for _, i := range s.rng.Perm(processors) {
		s.pool[i].signal(syscall.SIGCONT)
		if err == nil {
			err = wait.For(ctx, apart)
		}
	}
	return fmt.Sprintf("all processors stood still for %v, and woke %v apart", pause.Round(time.Millisecond), apart.Round(time.Millisecond)), err
}

// pauseAndKillCoordinator: whom the zombie comes back to has not known it before.
func pauseAndKillCoordinator(ctx context.Context, s *story) (string, error) {
	p, before := s.pool[s.rng.IntN(processors)], time.Duration(s.rng.Int64N(int64(2*sessionTimeout)))
	p.signal(syscall.SIGSTOP)
	defer p.signal(syscall.SIGCONT)
	if err := wait.For(ctx, before); err != nil {
		return "", err
	}
	what, err := killGroupCoordinator(ctx, s)
	return fmt.Sprintf("processor %d stood still; %v later %s", p.index, before.Round(time.Millisecond), what), err
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
