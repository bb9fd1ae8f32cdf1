package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/wait"
)

// Cluster is what a run looks at and works on.
type Cluster interface {
	View(context.Context) (*View, error)
	Reassign(context.Context, []controller.Reassignment) error
	Elect(context.Context, []model.TopicPartition) error
	AddVoter(context.Context, Follower, Node) error
	RemoveVoter(context.Context, Follower) error
	Unregister(context.Context, model.BrokerID) error
	Throttle(ctx context.Context, topics []string, bytesPerSecond int64) error
	Unthrottle(context.Context, *View) error
}

// Run leads a cluster to an aim.
type Run struct {
	Cluster  Cluster
	Aim      Aim
	Throttle int64             // bytes per second of what replicas that are being added may take on each node; 0: no bound
	Poll     time.Duration     // how long to wait until the cluster is looked at again
	Patience time.Duration     // how long nothing may succeed until the run gives up
	Report   func(line string) // progress; each line only when it differs from the one before
}

// Do takes step after step until the aim is reached or cannot be. Errors are tried again until the patience ends, but not before the
// cluster was seen once: then it is more likely that somebody looks for it in the wrong place.
// When ctx ends the cluster goes on with what it was told; Do can be called again for the rest, by another process too.
func (r *Run) Do(ctx context.Context) error {
	if _, err := r.Cluster.View(ctx); err != nil {
		return err
	}
	last := time.Now() // when something succeeded
	said := ""
	say := func(text string) {
		if text != said && text != "" {
			said = text
			r.Report(text)
		}
	}
	for {
		step, err := r.once(ctx, say)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted: the cluster goes on with what is under way; the same command does the rest (%w)", context.Cause(ctx))
		case step.Act == Refuse:
			return errors.Join(errors.New(step.Say), err)
		case err == nil && step.Act == Done:
			return nil
		case err == nil:
			last = time.Now()
		case time.Since(last) > r.Patience:
			return fmt.Errorf("given up after %s; the same command goes on from here: %w", r.Patience, err)
		default:
			say(fmt.Sprintf("trying again: %v", err))
		}
		_ = wait.For(ctx, r.Poll) // the next round tells if ctx has ended
	}
}

// once looks and takes one step.
func (r *Run) once(ctx context.Context, say func(string)) (Step, error) {
	v, err := r.Cluster.View(ctx)
	if err != nil {
		return Step{}, err
	}
	s := r.Aim.Next(v)
	if s.Act != Refuse {
		say(s.Say)
	}
	switch s.Act {
	case Move:
		if r.Throttle > 0 {
			if err := r.Cluster.Throttle(ctx, topicsOf(s.Moves), r.Throttle); err != nil {
				return s, fmt.Errorf("throttling: %w", err)
			}
		}
		err = r.Cluster.Reassign(ctx, s.Moves)
	case Elect:
		err = r.Cluster.Elect(ctx, s.Elect)
	case AddVoter:
		f, _ := v.Quorum.observer(s.Node)
		err = r.Cluster.AddVoter(ctx, f, *v.Node(s.Node))
	case RemoveVoter:
		f, votes := v.Quorum.voter(s.Node)
		if !votes {
			f, _ = v.Quorum.observer(s.Node)
		}
		err = r.Cluster.RemoveVoter(ctx, f)
	case Unregister:
		err = r.Cluster.Unregister(ctx, s.Node)
	case Done, Refuse:
		if !slices.ContainsFunc(v.Partitions, func(p Partition) bool { return p.Moving() }) {
			err = r.Cluster.Unthrottle(ctx, v)
		}
	}
	return s, err
}

func topicsOf(moves []controller.Reassignment) []string {
	topics := map[string]bool{}
	for _, m := range moves {
		topics[m.Topic] = true
	}
	return slices.Sorted(maps.Keys(topics))
}
