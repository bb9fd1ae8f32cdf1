package api

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/record"
)

// InitProducerId (22), versions 0 to 5: an ID for an idempotent producer (KIP-98). A producer that comes back with
// the ID it has (version 3, KIP-360) gets a new one: without a transactional ID the broker cannot tell whose it was.
func (b *Broker) initProducerID(ctx context.Context, _ *server.Request, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(model.NoProducer), -1
	id, err := b.newProducerID(ctx, req)
	if err != nil {
		resp.ErrorCode = Code(err)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	return resp
}

func (b *Broker) newProducerID(ctx context.Context, req *kmsg.InitProducerIDRequest) (model.ProducerID, error) {
	if (req.ProducerID == int64(model.NoProducer)) != (req.ProducerEpoch == record.NoProducerEpoch) {
		return model.NoProducer, errInvalidRequest // an ID without its epoch, or the other way around
	}
	if req.TransactionalID != nil {
		if *req.TransactionalID == "" {
			return model.NoProducer, errInvalidRequest
		}
		return model.NoProducer, errNoTransactions
	}
	if id, ok := b.ids.take(); ok {
		return id, nil
	}
	return b.ids.refill(func() (controller.ProducerIDBlock, error) { return b.allocate(ctx) })
}

// allocate takes a block of IDs from the metadata log, so that no ID is ever given out twice.
func (b *Broker) allocate(ctx context.Context) (block controller.ProducerIDBlock, err error) {
	if b.Cluster != nil {
		return b.Cluster.ProducerIDs(ctx)
	}
	_, err = b.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		n := in.Image.Node(b.NodeID)
		if n == nil {
			return nil, errNotRegistered
		}
		commands, block, err = controller.AllocateProducerIDs(in, b.NodeID, n.Epoch)
		return commands, err
	})
	return block, err
}

// producerIDs hands out the IDs of a block, one by one.
type producerIDs struct {
	mu   sync.Mutex
	next model.ProducerID
	end  model.ProducerID
}

func (p *producerIDs) take() (model.ProducerID, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		return model.NoProducer, false
	}
	p.next++
	return p.next - 1, true
}

// refill allocates a block and takes its first ID. Callers that find no ID at the same moment allocate a block each;
// the blocks that are replaced are lost, which costs nothing but numbers.
func (p *producerIDs) refill(allocate func() (controller.ProducerIDBlock, error)) (model.ProducerID, error) {
	block, err := allocate()
	if err != nil {
		return model.NoProducer, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.end = block.First+1, block.First+model.ProducerID(block.Count)
	return block.First, nil
}
