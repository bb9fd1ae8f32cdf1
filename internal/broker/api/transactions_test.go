package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// transactor is a producer with a transactional ID, on a broker with the topic t of two partitions.
type transactor struct {
	t        testing.TB
	c        *nodetest.Client
	id       string
	producer int64
	epoch    int16
	topic    model.TopicID
}

func transacting(t testing.TB) *transactor {
	return transactingAt(t, nodetest.Start(t, nodetest.Options{}))
}

func transactingAt(t testing.TB, b *nodetest.Broker) *transactor {
	c := b.Client()
	x := &transactor{t: t, c: c, id: "x", topic: createTopic(t, c, "t", 2)}
	for _, kind := range []int8{0, 1} {
		x.coordinated(kind)
	}
	x.init(4)
	return x
}

// coordinated waits until there are coordinators of a kind, and all are loaded.
func (x *transactor) coordinated(kind int8) {
	x.t.Helper()
	for x.t.Context().Err() == nil {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys = kind, []string{x.id}
		code := do[*kmsg.FindCoordinatorResponse](x.c, 6, req).Coordinators[0].ErrorCode
		switch {
		case code != 0:
		case kind == 0:
			code = do[*kmsg.ListGroupsResponse](x.c, 5, kmsg.NewPtrListGroupsRequest()).ErrorCode
		default:
			code = do[*kmsg.ListTransactionsResponse](x.c, 0, kmsg.NewPtrListTransactionsRequest()).ErrorCode
		}
		if code == 0 {
			return
		}
	}
	x.t.Fatalf("nobody coordinates what is of kind %d", kind)
}

func (x *transactor) init(version int16) {
	x.t.Helper()
	r := do[*kmsg.InitProducerIDResponse](x.c, version, x.initRequest())
	wantCode(x.t, fmt.Sprint("a producer, version ", version), r.ErrorCode, nil)
	x.producer, x.epoch = r.ProducerID, r.ProducerEpoch
}

func (x *transactor) initRequest() *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &x.id, 60_000
	return req
}

// add has the forms of all versions.
func (x *transactor) add(partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.producer, x.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}}
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{
		TransactionalID: x.id, ProducerID: x.producer, ProducerEpoch: x.epoch,
		Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: "t", Partitions: partitions}},
	}}
	return req
}

// added are the codes of an answer in their order.
func added(r *kmsg.AddPartitionsToTxnResponse) (codes []int16) {
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	for _, x := range r.Transactions {
		for _, t := range x.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	}
	return codes
}

func (x *transactor) adds(what string, version int16, req *kmsg.AddPartitionsToTxnRequest, want ...*kerr.Error) {
	x.t.Helper()
	codes := added(do[*kmsg.AddPartitionsToTxnResponse](x.c, version, req))
	if len(codes) != len(want) {
		x.t.Fatalf("%s, version %d: %d codes, want %d", what, version, len(codes), len(want))
	}
	for i, code := range codes {
		wantCode(x.t, fmt.Sprintf("%s, version %d, partition number %d", what, version, i), code, want[i])
	}
}

func (x *transactor) end(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.producer, x.epoch, commit
	return req
}

func (x *transactor) ends(version int16, req *kmsg.EndTxnRequest, want *kerr.Error) {
	x.t.Helper()
	r := do[*kmsg.EndTxnResponse](x.c, version, req)
	wantCode(x.t, fmt.Sprintf("ending, version %d", version), r.ErrorCode, want)
	switch {
	case version < 5 || r.ErrorCode != 0:
		if r.ProducerID != -1 || r.ProducerEpoch != -1 {
			x.t.Errorf("version %d names producer %d in epoch %d", version, r.ProducerID, r.ProducerEpoch)
		}
	default:
		x.producer, x.epoch = r.ProducerID, r.ProducerEpoch
	}
}

func (x *transactor) describe() *kmsg.DescribeTransactionsRequest {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{x.id}
	return req
}

// is looks at the transaction: an end that is under way is repeated, which waits for it.
func (x *transactor) is(state string, partitions ...int32) {
	x.t.Helper()
	got := do[*kmsg.DescribeTransactionsResponse](x.c, 0, x.describe()).TransactionStates[0]
	var has []int32
	for _, t := range got.Topics {
		has = append(has, t.Partitions...)
	}
	if got.State != state || !slices.Equal(has, partitions) || got.ProducerID != x.producer || got.ProducerEpoch != x.epoch {
		x.t.Errorf("the transaction is %+v, want %s of %v by %d in epoch %d", got, state, partitions, x.producer, x.epoch)
	}
}

// writes sends a batch of the transaction.
func (x *transactor) writes(version int16, sequence int32, want *kerr.Error) {
	x.t.Helper()
	b := batchOf(x.t, record.Options{
		Producer: &record.Producer{ID: model.ProducerID(x.producer), Epoch: x.epoch, Sequence: sequence}, Transactional: true,
	}, testTime)
	req := produceRequest(-1, part{topic: "t", id: x.topic, records: b})
	req.TransactionID = &x.id
	wantCode(x.t, fmt.Sprintf("writing, version %d", version), produced(do[*kmsg.ProduceResponse](x.c, version, req)).ErrorCode, want)
}

// TestTransactionsOfTheFirstVersion: partitions are added and transactions ended in every version, one right after the other: who meets markers that are being
// written waits for them.
func TestTransactionsOfTheFirstVersion(t *testing.T) {
	x := transacting(t)
	for v := int16(0); v <= 3; v++ {
		for _, commit := range []bool{true, false} {
			x.init(v)
			x.ends(v, x.end(commit), kerr.InvalidTxnState)
			x.adds("a partition", v, x.add(0), nil)
			x.adds("it again, and another", v, x.add(0, 1), nil, nil)
			x.is("Ongoing", 0, 1)
			x.writes(9+v%3, 0, nil)
			x.ends(v, x.end(commit), nil)
			x.adds("the next one's partition", v, x.add(1), nil)
			x.is("Ongoing", 1)
			x.ends(v, x.end(!commit), nil)
			x.ends(v, x.end(!commit), nil)
			x.is(map[bool]string{true: "CompleteAbort", false: "CompleteCommit"}[commit])
			x.ends(v, x.end(commit), kerr.InvalidTxnState)
		}
	}
}

// TestTransactionsOfTheSecondVersion: what is written makes its partition part of the transaction, and each end raises the epoch (KIP-890).
func TestTransactionsOfTheSecondVersion(t *testing.T) {
	x := transacting(t)
	for _, v := range []int16{12, 13} {
		x.writes(v, 0, nil)
		x.writes(v, 1, nil)
		x.is("Ongoing", 0)
		old := *x
		x.ends(5, x.end(true), nil)
		if x.epoch != old.epoch+1 || x.producer != old.producer {
			t.Fatalf("producer %d in epoch %d is followed by %d in %d", old.producer, old.epoch, x.producer, x.epoch)
		}
		x.writes(v, 0, nil)
		old.writes(v, 2, kerr.InvalidProducerEpoch)
		old.ends(5, old.end(true), kerr.ProducerFenced)
		x.ends(5, x.end(false), nil)
		again := *x
		again.epoch--
		again.ends(5, again.end(false), nil)
		if again.epoch != x.epoch {
			t.Errorf("an end that is repeated leads to epoch %d, want %d", again.epoch, x.epoch)
		}
		x.ends(5, x.end(true), kerr.ConcurrentTransactions) // of nothing yet
	}
	for _, v := range []int16{7, 10, 11} {
		x.writes(v, 0, map[bool]*kerr.Error{true: kerr.TransactionAbortable, false: kerr.InvalidTxnState}[v == 11])
	}
}

// TestAddPartitionsRefusals: all or nothing, and fencing in the words of the version.
func TestAddPartitionsRefusals(t *testing.T) {
	x := transacting(t)
	for v := int16(0); v <= 5; v++ {
		x.adds("no partitions", v, x.add())
		x.adds("one that does not exist", v, x.add(0, 7), kerr.OperationNotAttempted, kerr.UnknownTopicOrPartition)
		unknown := x.add(0)
		unknown.Topics[0].Topic, unknown.Transactions[0].Topics[0].Topic = "none", "none"
		x.adds("a topic that does not exist", v, unknown, kerr.UnknownTopicOrPartition)
		fenced := kerr.ProducerFenced
		if v < 2 {
			fenced = kerr.InvalidProducerEpoch
		}
		old := *x
		x.init(5)
		x.adds("the epoch before", v, old.add(0), fenced)
		other := *x
		other.producer += 1 << 40
		x.adds("another producer", v, other.add(0), kerr.InvalidProducerIDMapping)
		other.id = ""
		x.adds("no transactional ID", v, other.add(0), kerr.InvalidRequest)
		other.id = "nobody"
		x.adds("an ID that nobody has", v, other.add(0), kerr.InvalidProducerIDMapping)
		x.ends(min(v, 3), old.end(true), fenced)
		x.ends(min(v, 3), other.end(true), kerr.InvalidProducerIDMapping)
	}
}

// TestVerifyPartitions: brokers ask about several transactions at once, and nothing is changed for who only asks.
func TestVerifyPartitions(t *testing.T) {
	x := transacting(t)
	y := *x
	y.id = "y"
	y.init(5)
	for v := int16(4); v <= 5; v++ {
		several := x.add(0, 1)
		several.Transactions[0].VerifyOnly = true
		several.Transactions = append(several.Transactions, y.add(1).Transactions...)
		x.adds("nothing is open, and another one begins", v, several, kerr.TransactionAbortable, kerr.TransactionAbortable, nil)
		x.adds("a partition", v, x.add(1), nil)
		x.adds("one that is part of it", v, several, kerr.TransactionAbortable, nil, nil)
		y.is("Ongoing", 1)
		x.ends(3, x.end(false), nil)
		y.ends(3, y.end(false), nil)
		none := x.add()
		none.Transactions = nil
		x.adds("none", v, none)
	}
}
