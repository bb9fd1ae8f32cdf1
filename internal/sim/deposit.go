package sim

import (
	"slices"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// depositRequest commits an offset of a group in a transaction (TxnOffsetCommit).
type depositRequest struct {
	group.TxnCommitRequest
	till    string
	version txn.Version
}

// asking is a deposit for which the transaction's coordinator is being asked.
type asking struct {
	num      int32 // of the groups' partition
	producer model.ProducerID
	ended    bool // a marker was written since
}

// deposit asks the transaction's coordinator, then has the group's decide. If the transaction has ended between the two, it asks again.
func (n *node) deposit(q *depositRequest, answer func(any, error)) {
	num := n.w.coordinatorOf(schema.Groups.Name, q.Group)
	a := &asking{num: num, producer: q.Producer.ID}
	n.asking = append(n.asking, a)
	n.join(q.till, txn.Producer(q.Producer), q.version, model.TopicPartition{Topic: schema.Groups.Name, Partition: num}, model.TopicID{}, n.now(), func(err error) {
		n.asking = slices.DeleteFunc(n.asking, func(o *asking) bool { return o == a })
		switch {
		case err != nil && definite(err):
			answer(group.CommitReply{Err: err}, nil)
		case err != nil:
			answer(nil, err)
		case a.ended && !n.w.bugs.neverVoid:
			n.w.stats[voidVerifications]++
			n.deposit(q, answer)
		default:
			n.seatOf(schema.Groups.Name, q.Group).ask(*q, answer)
		}
	})
}

// ended notes that a marker is being written in a partition of the groups' topic.
func (n *node) ended(num int32, producer model.ProducerID) {
	for _, a := range n.asking {
		if a.num == num && a.producer == producer {
			a.ended = true
		}
	}
}
