package api

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/replica"
)

// latestOffsets finds out where partitions end, from the brokers that lead them: the offsets after their last records that consumers can read.
type latestOffsets struct {
	mu    sync.Mutex
	found map[model.TopicPartition]foundOffset
}

type foundOffset struct {
	at  model.Offset
	err error
}

// want notes a partition, before find.
func (l *latestOffsets) want(tp model.TopicPartition) {
	if l.found == nil {
		l.found = make(map[model.TopicPartition]foundOffset)
	}
	l.found[tp] = foundOffset{err: errNoLeader}
}

// of is the outcome for a partition that was wanted, after find.
func (l *latestOffsets) of(tp model.TopicPartition) (model.Offset, error) {
	return l.found[tp].at, l.found[tp].err
}

// find asks, all leaders at a time.
func (l *latestOffsets) find(ctx context.Context, b *Broker) {
	im := b.image()
	byLeader := make(map[model.BrokerID][]model.TopicPartition)
	for tp := range l.found {
		if t := im.Topic(tp.Topic); t != nil && int(tp.Partition) < len(t.Partitions) {
			if leader := t.Partitions[tp.Partition].Leader; leader != model.NoBroker {
				byLeader[leader] = append(byLeader[leader], tp)
			}
		}
	}
	var asking sync.WaitGroup
	for leader, some := range byLeader {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, joinCall)
			defer cancel()
			l.ask(ctx, b, leader, some)
		})
	}
	asking.Wait()
}

func (l *latestOffsets) ask(ctx context.Context, b *Broker, leader model.BrokerID, some []model.TopicPartition) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = offsetNotAvailable
	for _, tp := range some {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = tp.Partition, replica.TimestampLatest
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic, t.Partitions = tp.Topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	resp := new(kmsg.ListOffsetsResponse)
	var failure error
	if leader == b.NodeID {
		resp = b.listOffsets(ctx, nil, req)
	} else if answer, err := b.callBroker(ctx, leader, req); err != nil {
		failure = err
	} else {
		resp = answer.(*kmsg.ListOffsetsResponse)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tp := range some {
		l.found[tp] = foundOffset{err: firstOf(failure, errOtherAnswer)}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			l.found[model.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = foundOffset{model.Offset(p.Offset), kafkaError(p.ErrorCode)}
		}
	}
}
