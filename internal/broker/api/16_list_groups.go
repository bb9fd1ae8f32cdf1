package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// ListGroups (16), versions 0 to 5: the groups that this broker coordinates, sorted. Version 4 has states (KIP-518), 5 types (KIP-848), and
// filters for both.
func (b *Broker) listGroups(ctx context.Context, _ *server.Request, req *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	in := group.ListRequest{States: req.StatesFilter, Types: req.TypesFilter}
	resp := kmsg.NewPtrListGroupsResponse()
	all, err := b.allGroups(ctx, in)
	if err != nil {
		resp.ErrorCode = groupCode(err)
		return resp
	}
	resp.Groups = make([]kmsg.ListGroupsResponseGroup, len(all))
	for i, g := range all {
		resp.Groups[i] = kmsg.ListGroupsResponseGroup{Group: g.Group, ProtocolType: g.ProtocolType, GroupState: g.State.String(), GroupType: g.Type}
	}
	return resp
}

// allGroups asks every machine. While one is loading there is no list that is complete; of one that has gone, another broker tells.
func (b *Broker) allGroups(ctx context.Context, in group.ListRequest) ([]group.Listed, error) {
	l := listing[group.Listed]{done: make(chan struct{})}
	l.expect(b.Groups.Each(
		func(m *group.Machine, _ time.Time) shard.Result { return m.List(in, l.add) },
		func(err error) { l.add(nil, err) }))
	groups, err := l.wait(ctx)
	slices.SortFunc(groups, func(a, b group.Listed) int { return strings.Compare(a.Group, b.Group) })
	return groups, err
}

// listing collects the answers of all machines.
type listing[T any] struct {
	mu      sync.Mutex // guards what follows until done is closed
	all     []T
	failure error
	left    int // answers that are missing; below zero as long as nobody has said how many are expected
	done    chan struct{}
}

// wait waits for all of them. While one is loading there is no list that is complete.
func (l *listing[T]) wait(ctx context.Context) ([]T, error) {
	select {
	case <-l.done:
		return l.all, l.failure
	case <-ctx.Done():
		return nil, shard.ErrNotCoordinator
	}
}

func (l *listing[T]) add(some []T, err error) {
	l.mu.Lock()
	l.all = append(l.all, some...)
	if err != nil && !errors.Is(err, shard.ErrNotCoordinator) {
		l.failure = err
	}
	l.mu.Unlock()
	l.expect(-1)
}

func (l *listing[T]) expect(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left += n; l.left == 0 {
		close(l.done)
	}
}
