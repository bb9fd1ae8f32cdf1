package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/markers"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// markerTime is how long markers may take to be safe before whoever sent them is told to send them again: one partition whose replicas are out of reach
// must not hold up the others for long.
const markerTime = 2 * time.Second

// WriteTxnMarkers (27), versions 1 and 2: ends producers' transactions on partitions that this broker leads (KIP-98). The coordinator sends it, and who
// aborts a transaction that hangs (KIP-664). Version 2 says whether the epoch was raised for the marker (KIP-890).
func (b *Broker) writeTxnMarkers(ctx context.Context, _ *server.Request, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	entries := make([]markers.Entry, len(req.Markers))
	for i := range req.Markers {
		m := &req.Markers[i]
		e := markers.Entry{CoordinatorEpoch: m.CoordinatorEpoch, Markers: &txn.Markers{
			Producer: producerOf(m.ProducerID, m.ProducerEpoch), Commit: m.Committed, Version: txn.Version(m.TransactionVersion),
		}}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				e.Partitions = append(e.Partitions, model.TopicPartition{Topic: t.Topic, Partition: p})
			}
		}
		entries[i] = e
	}
	outcome := b.writeMarkers(ctx, entries)
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for i := range req.Markers {
		out := kmsg.NewWriteTxnMarkersResponseMarker()
		out.ProducerID = req.Markers[i].ProducerID
		next := outcome[i]
		for _, t := range req.Markers[i].Topics {
			topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			topic.Topic = t.Topic
			for j, p := range t.Partitions {
				part := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				part.Partition, part.ErrorCode = p, markerCode(next[j])
				topic.Partitions = append(topic.Partitions, part)
			}
			next = next[len(t.Partitions):]
			out.Topics = append(out.Topics, topic)
		}
		resp.Markers = append(resp.Markers, out)
	}
	return resp
}

// markerCode is the Kafka error code of what has become of a marker: a coordinator of groups that is not there yet is a leader that is not.
func markerCode(err error) int16 {
	switch code := Code(err); code {
	case kerr.CoordinatorNotAvailable.Code, kerr.CoordinatorLoadInProgress.Code, kerr.NotCoordinator.Code:
		return kerr.NotLeaderForPartition.Code
	default:
		return code
	}
}

// written is told by the log, or a coordinator, what became of one marker.
type written func(error)

// Done implements wal.Waiter.
func (w written) Done(err error) { w(err) }

// markerOf is the marker that an entry has for its partitions.
func markerOf(e *markers.Entry, nowMs int64) record.Marker {
	m := record.Marker{
		Type: record.Abort, CoordinatorEpoch: e.CoordinatorEpoch, Producer: e.Producer.ID, ProducerEpoch: e.Producer.Epoch, TimestampMs: nowMs,
	}
	if e.Commit {
		m.Type = record.Commit
	}
	return m
}

// AppendMarker has one of this broker's partitions take a marker: it is markers.Options.Append.
func (b *Broker) AppendMarker(tp model.TopicPartition, e markers.Entry, done func(error)) {
	b.writeMarker(tp, markerOf(&e, time.Now().UnixMilli()), e.Version >= txn.V2, done)
}

// writeMarkers writes markers and waits until they are safe. There is an error, or nil, for each partition of each entry, in order.
func (b *Broker) writeMarkers(ctx context.Context, entries []markers.Entry) [][]error {
	ctx, cancel := context.WithTimeout(ctx, markerTime)
	defer cancel()
	nowMs := time.Now().UnixMilli()
	waits := make([][]chan error, len(entries))
	for i := range entries {
		e := &entries[i]
		m := markerOf(e, nowMs)
		for _, tp := range e.Partitions {
			w := make(chan error, 1)
			b.writeMarker(tp, m, e.Version >= txn.V2, func(err error) { w <- err })
			waits[i] = append(waits[i], w)
		}
	}
	out := make([][]error, len(entries))
	for i, ws := range waits {
		for _, w := range ws {
			var err error
			select {
			case err = <-w:
			case <-ctx.Done():
				select {
				case err = <-w:
				default:
					err = errMarkerTimeout
				}
			}
			out[i] = append(out[i], err)
		}
	}
	return out
}

// writeMarker writes one marker. Offsets of groups are in memory too: theirs are written by who has that.
func (b *Broker) writeMarker(tp model.TopicPartition, m record.Marker, raised bool, w written) {
	if tp.Topic == schema.Groups.Name {
		b.Groups.At(tp.Partition, func(of *group.Machine, now time.Time) shard.Result {
			b.offsetsAsked.end(tp.Partition, m.Producer)
			return of.Marker(now, m, raised, w.Done)
		}, w.Done)
		return
	}
	r, err := b.partition(tp)
	if err == nil {
		err = r.AppendMarker(m, raised, w)
	}
	if err != nil {
		w.Done(err)
	}
}

// SendMarkers has another broker write markers: it is markers.Options.Write.
func (b *Broker) SendMarkers(ctx context.Context, to model.BrokerID, entries []markers.Entry) ([][]error, error) {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	for i := range entries {
		e := &entries[i]
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.Committed = int64(e.Producer.ID), e.Producer.Epoch, e.Commit
		m.CoordinatorEpoch, m.TransactionVersion = e.CoordinatorEpoch, int8(e.Version)
		for _, tp := range e.Partitions {
			if n := len(m.Topics); n == 0 || m.Topics[n-1].Topic != tp.Topic {
				t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
				t.Topic = tp.Topic
				m.Topics = append(m.Topics, t)
			}
			t := &m.Topics[len(m.Topics)-1]
			t.Partitions = append(t.Partitions, tp.Partition)
		}
		req.Markers = append(req.Markers, m)
	}
	req.Version = markersRaise
	answer, err := b.callBroker(ctx, to, req)
	if err != nil {
		return nil, err
	}
	out := make([][]error, len(entries))
	for i, m := range answer.(*kmsg.WriteTxnMarkersResponse).Markers {
		if i == len(out) {
			return nil, errOtherAnswer
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				out[i] = append(out[i], kafkaError(p.ErrorCode))
			}
		}
	}
	for i := range entries {
		if len(out[i]) != len(entries[i].Partitions) {
			return nil, errOtherAnswer
		}
	}
	return out, nil
}
