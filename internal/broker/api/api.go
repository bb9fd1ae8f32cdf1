package api

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/wire"
)

// serveFunc answers one decoded request.
type serveFunc func(b *Broker, ctx context.Context, r *server.Request, in kmsg.Request) kmsg.Response

// on gives a typed handler the common shape.
func on[In kmsg.Request, Out kmsg.Response](handle func(*Broker, context.Context, *server.Request, In) Out) serveFunc {
	return func(b *Broker, ctx context.Context, r *server.Request, in kmsg.Request) kmsg.Response {
		return handle(b, ctx, r, in.(In))
	}
}

// served is everything that this broker answers by itself, besides Produce, Fetch, OffsetCommit and ShareFetch, which have paths of their own; see also controlled.
var served = map[kmsg.Key]serveFunc{
	kmsg.ListOffsets:                on((*Broker).listOffsets),
	kmsg.Metadata:                   on((*Broker).metadata),
	kmsg.OffsetFetch:                on((*Broker).offsetFetch),
	kmsg.FindCoordinator:            on((*Broker).findCoordinator),
	kmsg.JoinGroup:                  on((*Broker).joinGroup),
	kmsg.Heartbeat:                  on((*Broker).heartbeat),
	kmsg.LeaveGroup:                 on((*Broker).leaveGroup),
	kmsg.SyncGroup:                  on((*Broker).syncGroup),
	kmsg.DescribeGroups:             on((*Broker).describeGroups),
	kmsg.ListGroups:                 on((*Broker).listGroups),
	kmsg.ApiVersions:                on((*Broker).apiVersions),
	kmsg.DeleteRecords:              on((*Broker).deleteRecords),
	kmsg.InitProducerID:             on((*Broker).initProducerID),
	kmsg.AddPartitionsToTxn:         on((*Broker).addPartitionsToTxn),
	kmsg.AddOffsetsToTxn:            on((*Broker).addOffsetsToTxn),
	kmsg.EndTxn:                     on((*Broker).endTxn),
	kmsg.WriteTxnMarkers:            on((*Broker).writeTxnMarkers),
	kmsg.TxnOffsetCommit:            on((*Broker).txnOffsetCommit),
	kmsg.DescribeTransactions:       on((*Broker).describeTransactions),
	kmsg.ListTransactions:           on((*Broker).listTransactions),
	kmsg.OffsetForLeaderEpoch:       on((*Broker).offsetForLeaderEpoch),
	kmsg.DescribeConfigs:            on((*Broker).describeConfigs),
	kmsg.AlterReplicaLogDirs:        on((*Broker).alterReplicaLogDirs),
	kmsg.DescribeLogDirs:            on((*Broker).describeLogDirs),
	kmsg.DeleteGroups:               on((*Broker).deleteGroups),
	kmsg.OffsetDelete:               on((*Broker).offsetDelete),
	kmsg.ConsumerGroupHeartbeat:     on((*Broker).consumerGroupHeartbeat),
	kmsg.ConsumerGroupDescribe:      on((*Broker).consumerGroupDescribe),
	kmsg.StreamsGroupHeartbeat:      on((*Broker).streamsGroupHeartbeat),
	kmsg.StreamsGroupDescribe:       on((*Broker).streamsGroupDescribe),
	kmsg.DescribeCluster:            on((*Broker).describeCluster),
	kmsg.DescribeProducers:          on((*Broker).describeProducers),
	kmsg.ListConfigResources:        on((*Broker).listConfigResources),
	kmsg.ShareGroupHeartbeat:        on((*Broker).shareGroupHeartbeat),
	kmsg.ShareGroupDescribe:         on((*Broker).shareGroupDescribe),
	kmsg.DescribeShareGroupOffsets:  on((*Broker).describeShareGroupOffsets),
	kmsg.AlterShareGroupOffsets:     on((*Broker).alterShareGroupOffsets),
	kmsg.DeleteShareGroupOffsets:    on((*Broker).deleteShareGroupOffsets),
	kmsg.InitializeShareGroupState:  on((*Broker).initializeShareGroupState),
	kmsg.ReadShareGroupState:        on((*Broker).readShareGroupState),
	kmsg.WriteShareGroupState:       on((*Broker).writeShareGroupState),
	kmsg.DeleteShareGroupState:      on((*Broker).deleteShareGroupState),
	kmsg.ReadShareGroupStateSummary: on((*Broker).readShareGroupStateSummary),
	kmsg.ShareAcknowledge:           on((*Broker).shareAcknowledge),
	kmsg.DescribeTopicPartitions:    on((*Broker).describeTopicPartitions),
}

// Table is what this package answers, each API in all versions that Kafka and the message library know.
func Table() (*wire.Table, error) {
	apis := []wire.API{wire.MustFull(wire.KeyProduce), wire.MustFull(wire.KeyFetch), wire.MustFull(wire.KeyOffsetCommit), wire.MustFull(kmsg.ShareFetch.Int16())}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(served)), slices.Collect(maps.Keys(controlled))) {
		a, err := wire.Full(key.Int16())
		if err != nil {
			return nil, err
		}
		apis = append(apis, a)
	}
	return wire.NewTable(apis...)
}

// Handle implements server.Handler.
func (b *Broker) Handle(ctx context.Context, r *server.Request, slot *server.Slot) {
	switch r.Key {
	case wire.KeyProduce:
		b.produce(r, slot)
		return
	case wire.KeyFetch:
		b.fetch(ctx, r, slot)
		return
	}
	in, err := b.decode(r)
	if err != nil {
		slot.Close(err)
		return
	}
	switch in := in.(type) {
	case *kmsg.ShareFetchRequest:
		b.shareFetch(ctx, r, slot, in)
		return
	case *kmsg.OffsetCommitRequest:
		b.offsetCommit(in, r.Alone, slot)
		return
	}
	if serve, ok := served[kmsg.Key(r.Key)]; ok {
		slot.Send(versioned(serve(b, ctx, r, in), in))
		return
	}
	if _, ok := controlled[kmsg.Key(r.Key)]; ok {
		slot.Send(b.ask(ctx, r, in))
		return
	}
	slot.Close(fmt.Errorf("%w %d", wire.ErrUnknownAPI, r.Key))
}

func (b *Broker) decode(r *server.Request) (kmsg.Request, error) {
	return b.table.Decode(wire.Header{Key: r.Key, Version: r.Version, ClientID: r.ClientID}, r.Body)
}
