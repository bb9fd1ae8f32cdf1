package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/wire"
)

// control is one request that only the active controller answers, at work. Its handlers are those of the requests that change the
// metadata, or ask for what the controller alone knows.
type control struct {
	*Broker
	from    Origin // whose request it is
	refusal error  // not nil: the controller was not reached, and all that the request asks for is refused with it
	ceased  error  // it turned out that this broker is not the active controller: nothing has changed, and the answer is void
}

// controlFunc answers one decoded request to the controller.
type controlFunc func(c *control, ctx context.Context, in kmsg.Request) kmsg.Response

// by gives a typed handler the common shape.
func by[In kmsg.Request, Out kmsg.Response](handle func(*control, context.Context, In) Out) controlFunc {
	return func(c *control, ctx context.Context, in kmsg.Request) kmsg.Response { return handle(c, ctx, in.(In)) }
}

// controlled is what the active controller answers. A broker that is not it passes these requests on.
var controlled = map[kmsg.Key]controlFunc{
	kmsg.CreateTopics:               by((*control).createTopics),
	kmsg.DeleteTopics:               by((*control).deleteTopics),
	kmsg.AlterConfigs:               by((*control).alterConfigs),
	kmsg.CreatePartitions:           by((*control).createPartitions),
	kmsg.ElectLeaders:               by((*control).electLeaders),
	kmsg.IncrementalAlterConfigs:    by((*control).incrementalAlterConfigs),
	kmsg.AlterPartitionAssignments:  by((*control).alterPartitionReassignments),
	kmsg.ListPartitionReassignments: by((*control).listPartitionReassignments),
	kmsg.DescribeQuorum:             by((*control).describeQuorum),
	kmsg.UpdateFeatures:             by((*control).updateFeatures),
	kmsg.UnregisterBroker:           by((*control).unregisterBroker),
	kmsg.AddRaftVoter:               by((*control).addRaftVoter),
	kmsg.RemoveRaftVoter:            by((*control).removeRaftVoter),
}

// The time that passing a request on may take: what the client grants, within bounds.
const (
	defaultForwardTime = 30 * time.Second
	maxForwardTime     = time.Minute
)

// ask has the active controller answer: this broker if it is alone, else whichever it is.
func (b *Broker) ask(ctx context.Context, r *server.Request, in kmsg.Request) kmsg.Response {
	client := ""
	if r != nil {
		client = r.ClientID
	}
	return b.askAs(ctx, originOf(r), client, in)
}

// askAs is ask for what somebody's request leads to, perhaps later.
func (b *Broker) askAs(ctx context.Context, from Origin, clientID string, in kmsg.Request) kmsg.Response {
	handle := controlled[kmsg.Key(in.Key())]
	if b.Cluster == nil {
		return versioned(handle(&control{Broker: b, from: from}, ctx, in), in)
	}
	out, err := b.passOn(ctx, from, clientID, in)
	if err != nil {
		return versioned(handle(&control{Broker: b, from: from, refusal: err}, ctx, in), in)
	}
	return out
}

func versioned(out kmsg.Response, in kmsg.Request) kmsg.Response {
	out.SetVersion(in.GetVersion())
	return out
}

// passOn has another broker answer, or this one by the same way.
func (b *Broker) passOn(ctx context.Context, from Origin, clientID string, in kmsg.Request) (kmsg.Response, error) {
	limit := defaultForwardTime
	if t, ok := in.(kmsg.TimeoutRequest); ok && t.Timeout() > 0 {
		limit = min(time.Duration(t.Timeout())*time.Millisecond, maxForwardTime)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q := Forwarded{Key: in.Key(), Version: in.GetVersion(), ClientID: clientID, Origin: from, Body: in.AppendTo(nil)}
	body, err := b.Cluster.Forwarder.Forward(ctx, q)
	if err != nil {
		return nil, err
	}
	out := in.ResponseKind()
	if err := out.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: the controller's answer to %s cannot be read: %w", quorum.ErrUnknownOutcome, kmsg.NameForKey(in.Key()), err)
	}
	return out, nil
}

// Answer answers a request that a broker has passed on to this one, the active controller as it believes, and returns the body of
// the response. An error that wraps quorum.ErrNotController says that it is not, and that nothing has changed; others are those of a request that is none.
func (b *Broker) Answer(ctx context.Context, q Forwarded) ([]byte, error) {
	handle, ok := controlled[kmsg.Key(q.Key)]
	if !ok {
		return nil, fmt.Errorf("%w: %s (key %d) is not for the controller", wire.ErrUnknownAPI, kmsg.NameForKey(q.Key), q.Key)
	}
	in, err := b.decodeForwarded(q)
	if err != nil {
		return nil, err
	}
	c := &control{Broker: b, from: q.Origin}
	out := versioned(handle(c, ctx, in), in)
	if c.ceased != nil {
		return nil, c.ceased
	}
	return out.AppendTo(nil), nil
}

func (b *Broker) decodeForwarded(q Forwarded) (kmsg.Request, error) {
	return b.table.Decode(wire.Header{Key: q.Key, Version: q.Version, ClientID: q.ClientID}, q.Body)
}

// decide has the controller decide on the newest image and commits what it decided.
func (c *control) decide(ctx context.Context, decide func(controller.Inputs) ([]*command.Command, error)) (*image.Image, error) {
	if c.refusal != nil {
		return nil, c.refusal
	}
	im, err := c.propose(ctx, decide)
	c.note(err)
	return im, err
}

// note keeps an error that another broker has to be asked for.
func (c *control) note(err error) {
	if errors.Is(err, quorum.ErrNotController) {
		c.ceased = err
	}
}

// alter commits a decision over n items that answers each with an error, and returns these; where the commit
// failed, its error for those that had none.
func (c *control) alter(ctx context.Context, n int, decide func(controller.Inputs) ([]*command.Command, []error)) []error {
	var errs []error
	_, err := c.decide(ctx, func(in controller.Inputs) (commands []*command.Command, _ error) {
		commands, errs = decide(in)
		return commands, nil
	})
	if errs == nil {
		errs = make([]error, n)
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

// propose decides on the newest image and commits it.
func (b *Broker) propose(ctx context.Context, decide func(controller.Inputs) ([]*command.Command, error)) (*image.Image, error) {
	return b.Metadata.Propose(ctx, func(im *image.Image) ([]*command.Command, error) {
		return decide(b.inputs(im))
	})
}

func (b *Broker) inputs(im *image.Image) controller.Inputs {
	if b.Cluster != nil {
		return b.Cluster.Inputs(im)
	}
	return controller.Inputs{Image: im, Static: b.Static, NodeID: b.NodeID, NewTopicID: model.NewTopicID}
}
