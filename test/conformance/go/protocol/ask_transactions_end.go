package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (x *txn) addOffsets(group string) *kmsg.AddOffsetsToTxnRequest {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.producer, x.epoch, group
	return req
}

// commitOffset stores an offset in the transaction, for no member.
func (x *txn) commitOffset(group, topic string, partition int32, offset int64) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.producer, x.epoch, group
	req.Generation = -1
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func transactionOffsets(a *asker) {
	topic, _ := a.topic("t", 1)
	group, joined := a.member("g")
	x := a.txn("x")
	for v := int16(0); v <= 5; v++ {
		simple := a.group(fmt.Sprint("simple", v))
		fetched := func(question string, stable bool) {
			req := fetchOffsets(simple, topic, 0)
			req.RequireStable = stable
			a.ask(fmt.Sprintf("%s, version %d", question, v), req, 7)
		}
		a.ask("offsets that the transaction does not include", x.commitOffset(simple, topic, 0, 5), v)
		if v < 5 {
			a.ask("including them", x.addOffsets(simple), min(v, 4))
			a.ask("offsets that it includes", x.commitOffset(simple, topic, 0, 6), v)
		}
		fetched("what is committed meanwhile", false)
		fetched("what is committed and stable meanwhile", true)
		a.ask("a partition that does not exist", x.commitOffset(simple, topic, 7, 6), v)
		if v >= 3 {
			a.quiet(x.addOffsets(group), 3)
			req := x.commitOffset(group, topic, 0, 9)
			req.MemberID, req.Generation = joined.MemberID, joined.Generation
			a.ask("by a member", req, v)
			req.Generation++
			a.ask("by a member of another generation", req, v)
			req.MemberID = "nobody"
			a.ask("by a member that there is not", req, v)
		}
		old := *x
		x.ended(a.quiet(x.end(v%2 == 0), map[bool]int16{true: 5, false: 3}[v == 5]))
		x.complete()
		a.until("the offsets are stable", func() bool {
			req := fetchOffsets(simple, topic, 0)
			req.RequireStable = true
			return a.quiet(req, 7).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0].ErrorCode == 0
		})
		fetched("what is committed after the end", true)
		x.begin()
		a.ask("offsets of the epoch before", old.commitOffset(simple, topic, 0, 7), v)
		if v < 5 {
			a.ask("including offsets in the epoch before", old.addOffsets(simple), v)
			bad := *x
			bad.producer += 1 << 40
			a.ask("including offsets of another producer ID", bad.addOffsets(simple), v)
			bad.id = ""
			a.ask("including offsets without a transactional ID", bad.addOffsets(simple), v)
			a.ask("including offsets of a group without a name", x.addOffsets(""), v)
			a.quiet(x.end(false), 3)
			x.complete()
		}
	}
}

func endTransactions(a *asker) {
	topic, _ := a.topic("t", 1)
	for v := int16(0); v <= 5; v++ {
		x := a.txn(fmt.Sprint("x", v))
		x.open(topic)
		bad := *x
		bad.id = a.unknown("nobody")
		a.ask("a transactional ID that nobody has", bad.end(true), v)
		bad.id = ""
		a.ask("an empty transactional ID", bad.end(true), v)
		bad = *x
		bad.producer += 1 << 40
		a.ask("another producer ID", bad.end(true), v)
		bad = *x
		bad.epoch++
		a.ask("an epoch that was not given yet", bad.end(true), v)
		bad.epoch -= 2
		a.ask("an epoch that was never given", bad.end(true), v)
		x.state(fmt.Sprintf("it is still open, version %d", v))
		old := *x
		x.begin()
		a.ask("the epoch before", old.end(true), v)
		x.state(fmt.Sprintf("it was aborted by its successor, version %d", v))
	}
}

func describeTransactions(a *asker) {
	topic, _ := a.topic("t", 3)
	other, _ := a.topic("u", 1)
	x := a.txn("x")
	x.state("nothing has begun")
	a.quiet(x.add(topic, 2, 0), 3)
	a.quiet(x.add(other, 0), 3)
	x.state("three partitions of two topics")
	nobody := a.unknown("nobody")
	a.ask("an ID twice, and one that nobody has", x.describe(x.id, nobody), 0)
	a.ask("an ID without a name", x.describe(""), 0)
	none := x.describe()
	none.TransactionalIDs = nil
	a.ask("none", none, 0)
	a.quiet(x.end(false), 3)
}

// listed asks for transactions, of which those of this probe are written down.
func (a *asker) listed(question string, version int16, edit func(*kmsg.ListTransactionsRequest)) {
	req := kmsg.NewPtrListTransactionsRequest()
	req.DurationFilterMillis = -1
	edit(req)
	got := a.quiet(req, version).(*kmsg.ListTransactionsResponse)
	got.TransactionStates = slices.DeleteFunc(got.TransactionStates, func(t kmsg.ListTransactionsResponseTransactionState) bool {
		return !strings.HasPrefix(t.TransactionalID, "p-transactions-list-") || !strings.HasSuffix(t.TransactionalID, a.tag)
	})
	a.answered(question, got)
}

func listTransactions(a *asker) {
	topic, _ := a.topic("t", 1)
	empty, open, done := a.txn("empty"), a.txn("open"), a.txn("done")
	open.open(topic)
	done.open(topic)
	a.quiet(done.end(true), 3)
	done.complete()
	for v := int16(0); v <= 2; v++ {
		a.listed("all", v, func(*kmsg.ListTransactionsRequest) {})
		a.listed("what is open, or is nothing that there is", v, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Asleep"} })
		a.listed("a state in other letters", v, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"ongoing"} })
		a.listed("states that nothing has", v, func(r *kmsg.ListTransactionsRequest) {
			r.StateFilters = []string{"PrepareEpochFence", "Dead", "PrepareAbort"}
		})
		a.listed("of two producers", v, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{empty.producer, done.producer} })
		a.listed("of a producer, in a state that it is not in", v, func(r *kmsg.ListTransactionsRequest) {
			r.ProducerIDFilters, r.StateFilters = []int64{empty.producer}, []string{"Ongoing"}
		})
		if v >= 1 {
			a.listed("those that are open for an hour", v, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3_600_000 })
			a.listed("those that are open for less than no time", v, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = -5 })
		}
		if v >= 2 {
			for _, pattern := range []string{"", ".*-open.*", "open", "p-transactions-list-(open|done).*", "(", "a{2,1}"} {
				a.listed("those that match "+pattern, v, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &pattern })
			}
		}
	}
	a.quiet(open.end(false), 3)
}

// marker ends a producer's transaction on partitions of a topic, as its coordinator does.
func (x *txn) marker(epoch int16, commit bool, coordinator int32, topic string, partitions ...int32) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Committed, m.CoordinatorEpoch = x.producer, epoch, commit, coordinator
	m.TransactionVersion = x.raises
	t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	t.Topic, t.Partitions = topic, partitions
	m.Topics = append(m.Topics, t)
	req.Markers = append(req.Markers, m)
	return req
}

func writeMarkers(a *asker) {
	for v := int16(1); v <= 2; v++ {
		topic, id := a.topic(fmt.Sprint("t", v), 2)
		x := a.txn(fmt.Sprint("x", v))
		x.begin()
		x.begin()
		a.quiet(x.add(topic, 0, 1), 3)
		a.quiet(x.produce(topic, id, 0, 0), 11)
		a.ask("a partition that does not exist, beside one without a transaction", x.marker(x.epoch, false, 3, topic, 1, 7), v)
		a.ask("a topic that does not exist", x.marker(x.epoch, false, 3, a.topicName("none"), 0), v)
		a.ask("an older coordinator's", x.marker(x.epoch, false, -1, topic, 0), v)
		a.ask("an abort", x.marker(x.epoch, false, 3, topic, 0), v)
		a.ask("the same again", x.marker(x.epoch, false, 3, topic, 0), v)
		a.ask("an older coordinator's, once more", x.marker(x.epoch, false, 2, topic, 0), v)
		a.ask("an older epoch", x.marker(x.epoch-1, false, 3, topic, 0), v)
		if v == 2 {
			x.raises = 2
			a.ask("of the second version, with the epoch that is", x.marker(x.epoch, true, 3, topic, 0), v)
			a.ask("of the second version, with a raised epoch", x.marker(x.epoch+1, true, 3, topic, 0), v)
			a.quiet(x.produce(topic, id, 1, 0), 11)
			a.ask("of the second version, with the epoch of the transaction", x.marker(x.epoch, true, 3, topic, 1), v)
			a.ask("of the second version, with the next epoch", x.marker(x.epoch+1, true, 3, topic, 1), v)
		}
		none := x.marker(x.epoch, false, 3, topic)
		none.Markers = nil
		a.ask("no markers", none, v)
		fetch := kmsg.NewPtrListOffsetsRequest()
		fetch.IsolationLevel = 1
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		t.Partitions = append(t.Partitions, p)
		fetch.Topics = append(fetch.Topics, t)
		a.ask(fmt.Sprintf("how far committed records go, version %d", v), fetch, 7)
		a.quiet(x.end(false), 3)
	}
}

// led is the partitions of a topic that the broker leads.
func (a *asker) led(topic string) (partitions []int32) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	node := a.node()
	for _, p := range a.quiet(req, 9).(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.Leader == node {
			partitions = append(partitions, p.Partition)
		}
	}
	return partitions
}

// markersOnOffsets: groups' offsets are ended by markers on the partition that they are in.
func markersOnOffsets(a *asker) {
	topic, _ := a.topic("t", 1)
	for v := int16(1); v <= 2; v++ {
		x, group := a.txn(fmt.Sprint("x", v)), a.group(fmt.Sprint("g", v))
		a.quiet(x.addOffsets(group), 3)
		a.quiet(x.commitOffset(group, topic, 0, 5), 4)
		resp := a.quiet(x.marker(x.epoch, true, 3, "__consumer_offsets", a.led("__consumer_offsets")...), v).(*kmsg.WriteTxnMarkersResponse)
		codes := map[string]bool{}
		for _, p := range resp.Markers[0].Topics[0].Partitions {
			codes[errorName(p.ErrorCode)] = true
		}
		a.question("a commit on all partitions of offsets, version %d", v)
		a.say("%v", slices.Sorted(maps.Keys(codes)))
		stable := fetchOffsets(group, topic, 0)
		stable.RequireStable = true
		a.ask(fmt.Sprintf("what is committed then, version %d", v), stable, 7)
		a.quiet(x.end(false), 3)
	}
}
