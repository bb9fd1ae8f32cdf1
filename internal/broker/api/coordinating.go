package api

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// Groups are the groups that this broker coordinates, each in the machine of its partition of __consumer_offsets.
type Groups interface {
	// Ask has a request about a group decided by the machine that coordinates it. Exactly one of decide and refuse is called, once,
	// perhaps before Ask returns, perhaps on another goroutine; neither may block.
	Ask(id string, decide func(m *group.Machine, now time.Time) shard.Result, refuse func(error))
	// Wait is Ask for a caller that does nothing before it is answered: it may be made to wait for the disk, and is answered meanwhile if that takes long.
	Wait(id string, decide func(m *group.Machine, now time.Time) shard.Result, refuse func(error))
	// At is Ask for what is about a whole partition of __consumer_offsets.
	At(partition int32, decide func(m *group.Machine, now time.Time) shard.Result, refuse func(error))
	// Each asks all machines of this broker, and returns how many that are. Each of them calls decide or refuse once.
	Each(decide func(m *group.Machine, now time.Time) shard.Result, refuse func(error)) int
}

// noGroups coordinates nothing.
type noGroups struct{}

func (noGroups) Ask(_ string, _ func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	refuse(shard.ErrNotCoordinator)
}

func (noGroups) Wait(_ string, _ func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	refuse(shard.ErrNotCoordinator)
}

func (noGroups) At(_ int32, _ func(*group.Machine, time.Time) shard.Result, refuse func(error)) {
	refuse(shard.ErrNotCoordinator)
}

func (noGroups) Each(func(*group.Machine, time.Time) shard.Result, func(error)) int { return 0 }

// decision is a request about a group: what to ask its machine, which calls reply once, then or later.
type decision[Reply any] func(m *group.Machine, now time.Time, reply func(Reply)) shard.Result

// pending is a decision that has been asked for. It may be decided, and its answer dropped, after nobody waits for it any more: what it
// needs of the request is not in the request's frame.
type pending[Reply any] struct{ answer chan decided[Reply] }

type decided[Reply any] struct {
	reply Reply
	err   error
}

// begin asks for a decision about a group. It does not wait.
func begin[Reply any](b *Broker, id string, d decision[Reply]) pending[Reply] {
	p := pending[Reply]{make(chan decided[Reply], 1)}
	b.Groups.Ask(id,
		func(m *group.Machine, now time.Time) shard.Result {
			return d(m, now, func(r Reply) { p.answer <- decided[Reply]{reply: r} })
		},
		func(err error) { p.answer <- decided[Reply]{err: err} })
	return p
}

// wait waits for the answer, as long as the client and this broker are there: a member may wait for others for minutes. The error is
// that of who refused to decide. A request that is given up may have been decided, or may yet be.
func (p pending[Reply]) wait(ctx context.Context) (Reply, error) {
	select {
	case a := <-p.answer:
		return a.reply, a.err
	case <-ctx.Done():
	}
	var none Reply
	return none, shard.ErrNotCoordinator
}

// askGroup asks for a decision about a group and waits for it.
func askGroup[Reply any](ctx context.Context, b *Broker, id string, d decision[Reply]) (Reply, error) {
	return begin(b, id, d).wait(ctx)
}

// askNamed is askGroup for what no group without a name can be asked. There may be such groups, of old: they have offsets and no members.
func askNamed[Reply any](ctx context.Context, b *Broker, id string, d decision[Reply]) (Reply, error) {
	if id == "" {
		var none Reply
		return none, group.ErrInvalidGroupID
	}
	return askGroup(ctx, b, id, d)
}

// described is what a machine tells of one group, or why none does.
type described[D any] struct {
	id    string
	group D
	err   error
}

// describeEach has groups described, each once and by the machine that coordinates it. nameless is what a group without a name is refused with; nil: it is asked for.
func describeEach[D any](ctx context.Context, b *Broker, groups []string, nameless error,
	describe func(m *group.Machine, ids []string, reply func([]D, error)) shard.Result) []described[D] {
	ids := distinct(groups)
	asked := make([]pending[described[D]], len(ids))
	for i, id := range ids {
		if id == "" && nameless != nil {
			continue
		}
		asked[i] = begin(b, id, func(m *group.Machine, _ time.Time, reply func(described[D])) shard.Result {
			return describe(m, []string{id}, func(d []D, err error) { reply(described[D]{id, d[0], err}) })
		})
	}
	out := make([]described[D], len(ids))
	for i, id := range ids {
		if id == "" && nameless != nil {
			out[i].err = nameless
			continue
		}
		got, err := asked[i].wait(ctx)
		out[i] = described[D]{id, got.group, firstOf(err, got.err)}
	}
	return out
}

// groupCode is the Kafka error code of what a coordinator has answered. What only whoever wrote to the log would understand becomes what
// clients of coordinators do: ask again here, or look for the coordinator again.
func groupCode(err error) int16 {
	switch code := Code(err); code {
	case kerr.UnknownTopicOrPartition.Code, kerr.NotEnoughReplicas.Code, kerr.NotEnoughReplicasAfterAppend.Code, kerr.RequestTimedOut.Code:
		return kerr.CoordinatorNotAvailable.Code
	case kerr.NotLeaderForPartition.Code, kerr.FencedLeaderEpoch.Code, kerr.KafkaStorageError.Code:
		return kerr.NotCoordinator.Code
	case kerr.MessageTooLarge.Code, kerr.RecordListTooLarge.Code:
		return kerr.UnknownServerError.Code
	default:
		return code
	}
}

// firstOf is the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// distinct leaves out what is asked for once more: a small request gets no huge answer (E2).
func distinct[T comparable](all []T) []T {
	seen := make(map[T]struct{}, len(all))
	return slices.DeleteFunc(slices.Clone(all), func(x T) bool {
		_, again := seen[x]
		seen[x] = struct{}{}
		return again
	})
}

// clientHost is a client's address as groups show it: as Java prints it.
func clientHost(c *server.Conn) string {
	a := c.RemoteAddr()
	if !a.IsValid() {
		return ""
	}
	return "/" + a.Addr().Unmap().String()
}
