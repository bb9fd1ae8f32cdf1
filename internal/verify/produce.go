package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/bench"
	"chronik/internal/verify/history"
)

// producer writes to all partitions at an even pace.
type producer struct {
	run    *Run
	number int32
	cl     *kgo.Client
	free   []chan struct{} // by partition: room for outstanding records
	keys   kgo.TopicPartitioner
	once   bool
	seq    int64
	flying sync.WaitGroup
}

func (r *Run) newProducer(number int32, p Producer) (*producer, error) {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(r.opts.Outstanding*r.cluster.parts + 16),
		kgo.ProduceRequestTimeout(r.opts.RequestTimeout / 2),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.UnknownTopicRetries(-1), // a broker that has just started does not know yet
	}
	if p.Acks == 1 {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !p.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(p.MaxInFlight))
	}
	cl, err := kgo.NewClient(r.opts.clientOptions(opts...)...)
	if err != nil {
		return nil, fmt.Errorf("options that the client refuses: %w", err)
	}
	w := &producer{run: r, number: number, cl: cl, once: p.Once, keys: kgo.StickyKeyPartitioner(nil).ForTopic(r.cluster.topic)}
	room := r.opts.Outstanding
	if p.Once {
		room = min(room, mostOnce)
	}
	for range r.cluster.parts {
		w.free = append(w.free, make(chan struct{}, room))
	}
	return w, nil
}

// write sends records until ctx ends.
func (w *producer) write(ctx context.Context) {
	every := time.Duration(float64(time.Second) * float64(len(w.run.opts.Producers)) / w.run.opts.Rate)
	tick := time.NewTicker(max(every, time.Microsecond))
	defer tick.Stop()
	for turn := int(w.number); ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.next(int32(turn % w.run.cluster.parts))
	}
}

// next sends the next record, to the given partition unless its key says another; nothing, if the partition has enough outstanding.
func (w *producer) next(partition int32) {
	r := w.run
	sequence := bench.Sequence(int(w.number), w.seq+1)
	record := &kgo.Record{Topic: r.cluster.topic, Key: r.payloads.Key(nil, sequence)}
	if record.Key != nil {
		partition = int32(w.keys.Partition(record, r.cluster.parts))
	}
	select {
	case w.free[partition] <- struct{}{}:
	default:
		return
	}
	w.seq++
	value := history.Value{Producer: w.number, Seq: w.seq}
	record.Partition = partition
	record.Value = r.payloads.NewPayload(r.opts.MessageSize, uint32(w.seq))
	r.payloads.Stamp(record.Value, sequence, time.Now())
	w.flying.Add(1)
	r.record(&history.Event{Kind: history.Invoked, Partition: partition, Value: value})
	answered := func(record *kgo.Record, err error) {
		defer w.flying.Done()
		w.settle(value, partition, record.Offset, err)
		<-w.free[partition]
	}
	if w.once {
		go func() { answered(record, w.sendOnce(record)) }()
		return
	}
	w.cl.Produce(context.Background(), record, answered)
}

func (w *producer) settle(value history.Value, partition int32, offset int64, err error) {
	e := &history.Event{Kind: history.Acked, Partition: partition, Value: value, Offset: offset}
	if err != nil {
		e.Kind, e.Offset, e.Reason = history.Unknown, 0, err.Error()
		if refused(err) || w.once && refusedOnce(err) {
			e.Kind = history.Failed
		}
		w.run.trouble(fmt.Sprintf("producer %d", w.number), err)
	}
	w.run.record(e)
}

// refused tells whether an error says for certain that a record is not written and will not be: the client never sent it, or a
// broker refuses it whenever it comes. Even NOT_LEADER_OR_FOLLOWER may follow an append.
func refused(err error) bool {
	for _, sure := range []error{
		kgo.ErrMaxBuffered, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidRequiredAcks,
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidTimestamp, kerr.UnsupportedForMessageFormat,
	} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// drain waits for the outcomes of what was sent. When ctx ends, those that have not come are unknown.
func (w *producer) drain(ctx context.Context) {
	if w.once {
		w.flying.Wait() // each has its own timeout
	}
	if err := w.cl.Flush(ctx); err != nil {
		w.run.trouble(fmt.Sprintf("producer %d", w.number), fmt.Errorf("records without an answer at the end: %w", err))
	}
	w.cl.Close()
	w.flying.Wait()
}
