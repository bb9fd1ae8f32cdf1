package api

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/record"
)

// InitProducerId (22), versions 0 to 5: an ID for an idempotent producer, or one for a transactional ID, whose producer before it is fenced (KIP-98).
// A producer that comes back with the ID it has (version 3, KIP-360) goes on with a higher epoch if it has a transactional ID, and gets another ID if
// not: then the broker cannot tell whose it was. Version 4 knows PRODUCER_FENCED.
func (b *Broker) initProducerID(ctx context.Context, r *server.Request, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(model.NoProducer), record.NoProducerEpoch
	p, err := txn.Producer{}, errOvertaken
	if req.TransactionalID == nil || !r.Abandoned() {
		p, err = b.producerFor(ctx, req)
	}
	switch {
	case err == nil:
		resp.ProducerID, resp.ProducerEpoch = int64(p.ID), p.Epoch
	case req.TransactionalID == nil: // no coordinator has a part in it
		resp.ErrorCode = Code(err)
	default:
		resp.ErrorCode = fencedCode(err, req.Version, 4)
	}
	return resp
}

func (b *Broker) producerFor(ctx context.Context, req *kmsg.InitProducerIDRequest) (txn.Producer, error) {
	was, err := expected(req.ProducerID, req.ProducerEpoch)
	if err != nil {
		return txn.Producer{}, err
	}
	if req.TransactionalID == nil {
		id, err := b.NewProducerID(ctx)
		return txn.Producer{ID: id}, err
	}
	in := txn.InitRequest{TransactionalID: *req.TransactionalID, TimeoutMs: req.TransactionTimeoutMillis, Expected: was, Wait: endingTime}
	got, err := beginTxn(b, in.TransactionalID, func(m *txn.Machine, now time.Time, reply func(txn.InitReply)) shard.Result {
		return m.InitProducerID(now, in, reply)
	}).wait(ctx)
	return got.Producer, firstOf(err, got.Err)
}

// NewProducerID returns an ID that no producer has had.
func (b *Broker) NewProducerID(ctx context.Context) (model.ProducerID, error) {
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
