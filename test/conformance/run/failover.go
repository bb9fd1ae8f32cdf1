package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const settleLimit = time.Minute

// killCoordinator kills the node that coordinates the group with SIGKILL, says so to the driver ("killed"), starts it again, and says that, too ("back").
func (b *broker) killCoordinator(ctx context.Context, group string, driver io.Writer) error {
	n, err := b.coordinator(ctx, group)
	if err != nil {
		return err
	}
	n.kill()
	if _, err := fmt.Fprintln(driver, "killed"); err != nil {
		return err
	}
	if err := n.start(); err != nil {
		return err
	}
	if err := n.await(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(driver, "back")
	return err
}

func (b *broker) coordinator(ctx context.Context, group string) (*node, error) {
	c, err := b.admin()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found := c.FindGroupCoordinators(ctx, group)[group]
	if found.Err != nil {
		return nil, fmt.Errorf("the coordinator of %s: %w", group, found.Err)
	}
	if found.NodeID < 1 || int(found.NodeID) > len(b.nodes) {
		return nil, fmt.Errorf("the coordinator of %s is node %d, which was not started here", group, found.NodeID)
	}
	return b.nodes[found.NodeID-1], nil
}

// settled returns when all nodes are there and all replicas of all partitions in sync: the next node that is killed must not be one too many.
func (b *broker) settled(ctx context.Context) error {
	c, err := b.admin()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		missing, err := b.unsettled(ctx, c)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not whole after %v: %s, %v", settleLimit, missing, err)
		}
	}
}

// unsettled names something that is not there yet, if there is anything.
func (b *broker) unsettled(ctx context.Context, c *kadm.Client) (string, error) {
	m, err := c.Metadata(ctx)
	if err != nil {
		return "", err
	}
	if len(m.Brokers) < len(b.nodes) {
		return fmt.Sprintf("brokers %v", m.Brokers.NodeIDs()), nil
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Err != nil || len(p.ISR) < len(p.Replicas) {
				return fmt.Sprintf("%s-%d: replicas %v, in sync %v, %v", t.Topic, p.Partition, p.Replicas, p.ISR, p.Err), nil
			}
		}
	}
	return "", nil
}

func (b *broker) admin() (*kadm.Client, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(b.addr, ",")...))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(c), nil
}
