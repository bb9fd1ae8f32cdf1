package api

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// TestTopicIDsTravel: the ID of each partition's topic comes to the other broker with the names, which is all that Kafka's request has. Who does not say them, says none.
func TestTopicIDsTravel(t *testing.T) {
	entry := func(id string, topics ...byte) joining {
		j := joining{AddRequest: txn.AddRequest{TransactionalID: id}}
		for _, b := range topics {
			j.with(string(rune('a'+b)), []int32{0})
			j.TopicIDs = append(j.TopicIDs, model.TopicID{b})
		}
		return j
	}
	entries := []joining{entry("x", 1, 2), entry("y", 3)}
	sent := addPartitionsOf(entries)
	got := kmsg.NewPtrAddPartitionsToTxnRequest()
	got.Version = sent.Version
	if err := got.ReadFrom(sent.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	ids := topicIDs(got)
	for i := range got.Transactions {
		var of []model.TopicID
		for range got.Transactions[i].Topics {
			of = append(of, ids())
		}
		if !slices.Equal(of, entries[i].TopicIDs) {
			t.Errorf("the topics of %s have the IDs %v, want %v", got.Transactions[i].TransactionalID, of, entries[i].TopicIDs)
		}
	}
	if id := ids(); !id.IsZero() {
		t.Errorf("one more: %v", id)
	}
}
