package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (x *transactor) addOffsets(group string) *kmsg.AddOffsetsToTxnRequest {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.producer, x.epoch, group
	return req
}

func (x *transactor) commits(what string, version int16, partition int32, offset int64, want *kerr.Error) {
	x.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = x.id, x.producer, x.epoch, x.id, -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: partition, Offset: offset, LeaderEpoch: -1}}}}
	wantCode(x.t, fmt.Sprintf("%s, version %d", what, version), do[*kmsg.TxnOffsetCommitResponse](x.c, version, req).Topics[0].Partitions[0].ErrorCode, want)
}

// fetched is the group's offset of partition 0; want nil is success.
func (x *transactor) fetched(stable bool, offset int64, want *kerr.Error) {
	x.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = x.id, stable
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	p := do[*kmsg.OffsetFetchResponse](x.c, 7, req).Topics[0].Partitions[0]
	if wantCode(x.t, "fetching offsets", p.ErrorCode, want); p.Offset != offset {
		x.t.Errorf("offset %d is fetched, want %d", p.Offset, offset)
	}
}

// TestTransactionOffsets: they count when the transaction commits; the coordinator is told before up to version 4 of TxnOffsetCommit, by it from version 5 on.
func TestTransactionOffsets(t *testing.T) {
	x := transacting(t)
	for v := int16(0); v <= 5; v++ {
		before, offset := int64(v)-1, int64(v)
		if v < 5 {
			x.commits("not included", v, 0, 99, map[bool]*kerr.Error{true: kerr.TransactionAbortable, false: kerr.InvalidTxnState}[v >= 4])
			wantCode(t, "including offsets", do[*kmsg.AddOffsetsToTxnResponse](x.c, min(v, 4), x.addOffsets(x.id)).ErrorCode, nil)
		}
		x.commits("offsets", v, 0, offset, nil)
		x.commits("a partition that does not exist", v, 7, offset, kerr.UnknownTopicOrPartition)
		x.fetched(false, before, nil)
		x.fetched(true, -1, kerr.UnstableOffsetCommit)
		old := *x
		x.ends(map[bool]int16{true: 5, false: 3}[v == 5], x.end(true), nil)
		if v < 5 {
			x.ends(3, x.end(true), nil) // waits for the markers
		} else {
			again := old
			again.ends(5, again.end(true), nil)
		}
		x.fetched(true, offset, nil)
		old = *x
		x.init(5)
		old.commits("the epoch before", v, 0, 99, kerr.InvalidProducerEpoch)
		if v < 5 {
			fenced := kerr.ProducerFenced
			if v < 2 {
				fenced = kerr.InvalidProducerEpoch
			}
			wantCode(t, "including offsets in the epoch before", do[*kmsg.AddOffsetsToTxnResponse](x.c, v, old.addOffsets(x.id)).ErrorCode, fenced)
		}
	}
}

// TestInitTransactional: who comes back goes on, who was replaced is fenced, and who comes anew aborts what is open, and waits for that.
func TestInitTransactional(t *testing.T) {
	x := transacting(t)
	for v := int16(0); v <= 5; v++ {
		before := *x
		x.init(v)
		if x.producer != before.producer || x.epoch != before.epoch+1 {
			t.Errorf("version %d: producer %d in epoch %d after %d in %d", v, x.producer, x.epoch, before.producer, before.epoch)
		}
		x.adds("a partition", 3, x.add(0), nil)
		before = *x
		x.init(v)
		if x.epoch != before.epoch+2 { // the abort has one, too
			t.Errorf("version %d: epoch %d after %d with a transaction", v, x.epoch, before.epoch)
		}
		x.is("Empty")
		if v < 3 {
			continue
		}
		goOn := func(what string, epoch int16, want *kerr.Error) {
			t.Helper()
			req := x.initRequest()
			req.ProducerID, req.ProducerEpoch = x.producer, epoch
			r := do[*kmsg.InitProducerIDResponse](x.c, v, req)
			if wantCode(t, fmt.Sprintf("%s, version %d", what, v), r.ErrorCode, want); want == nil {
				x.epoch = r.ProducerEpoch
			}
		}
		fenced := kerr.ProducerFenced
		if v < 4 {
			fenced = kerr.InvalidProducerEpoch
		}
		first := x.epoch
		goOn("going on", first, nil)
		goOn("once more", first, nil)
		if x.epoch != first+1 {
			t.Errorf("version %d: epoch %d after going on twice from %d", v, x.epoch, first)
		}
		goOn("from an earlier epoch", first-1, fenced)
		goOn("from an epoch to come", x.epoch+1, fenced)
	}
}

// TestListTransactions: each version's filters.
func TestListTransactions(t *testing.T) {
	x := transacting(t)
	y := *x
	y.id = "open"
	y.init(5)
	y.adds("a partition", 3, y.add(0), nil)
	pattern := func(p string) func(*kmsg.ListTransactionsRequest) {
		return func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &p }
	}
	for name, c := range map[string]struct {
		since   int16
		edit    func(*kmsg.ListTransactionsRequest)
		ids     []string
		unknown []string
		code    *kerr.Error
	}{
		"all":                   {0, func(*kmsg.ListTransactionsRequest) {}, []string{"open", "x"}, nil, nil},
		"a state, and none":     {0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Asleep"} }, []string{"open"}, []string{"Asleep"}, nil},
		"a producer":            {0, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{x.producer} }, []string{"x"}, nil, nil},
		"open for an hour":      {1, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3_600_000 }, []string{"x"}, nil, nil}, // none has begun, which Kafka takes for long ago
		"a pattern":             {2, pattern("o.*"), []string{"open"}, nil, nil},
		"a part of an ID":       {2, pattern("o"), nil, nil, nil},
		"an empty pattern":      {2, pattern(""), []string{"open", "x"}, nil, nil},
		"what is not a pattern": {2, pattern("("), nil, nil, kerr.InvalidRegularExpression},
	} {
		for v := c.since; v <= 2; v++ {
			req := kmsg.NewPtrListTransactionsRequest()
			req.DurationFilterMillis = -1
			c.edit(req)
			got := do[*kmsg.ListTransactionsResponse](x.c, v, req)
			var ids []string
			for _, s := range got.TransactionStates {
				ids = append(ids, s.TransactionalID)
			}
			wantCode(t, name, got.ErrorCode, c.code)
			if !slices.Equal(ids, c.ids) || !slices.Equal(got.UnknownStateFilters, c.unknown) {
				t.Errorf("%s, version %d: %v, unknown %v; want %v, %v", name, v, ids, got.UnknownStateFilters, c.ids, c.unknown)
			}
		}
	}
}

// TestWriteTxnMarkers: what anybody may do who may alter the cluster, to end a transaction that hangs (KIP-664).
func TestWriteTxnMarkers(t *testing.T) {
	x := transacting(t)
	marks := func(what string, version int16, epoch int16, coordinator int32, raised int8, partitions []int32, want ...*kerr.Error) {
		t.Helper()
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Markers = []kmsg.WriteTxnMarkersRequestMarker{{
			ProducerID: x.producer, ProducerEpoch: epoch, CoordinatorEpoch: coordinator, TransactionVersion: raised,
			Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: partitions}},
		}}
		r := do[*kmsg.WriteTxnMarkersResponse](x.c, version, req)
		for i, p := range r.Markers[0].Topics[0].Partitions {
			wantCode(t, fmt.Sprintf("%s, version %d, partition %d", what, version, p.Partition), p.ErrorCode, want[i])
		}
	}
	for v := int16(1); v <= 2; v++ {
		x.id = fmt.Sprint("x", v) // the coordinator of the one before is taken for an older one by now
		x.init(5)
		x.init(5)
		x.adds("a partition", 3, x.add(0), nil)
		x.writes(11, 0, nil)
		marks("an older epoch, and a partition that does not exist", v, x.epoch-1, 3, 0, []int32{0, 7}, kerr.InvalidProducerEpoch, kerr.UnknownTopicOrPartition)
		if v == 2 {
			marks("of the second version without a raised epoch", v, x.epoch, 3, 2, []int32{0}, kerr.InvalidProducerEpoch)
		}
		marks("an abort", v, x.epoch, 3, 0, []int32{0, 1}, nil, nil)
		marks("the same again", v, x.epoch, 3, 0, []int32{0, 1}, nil, nil)
		marks("of an older coordinator", v, x.epoch, 2, 0, []int32{0}, kerr.TransactionCoordinatorFenced)
	}
}
