package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// TestClientsDoNotWriteForCoordinators: what a client sent could be read as a group's offsets, in every version of Produce.
func TestClientsDoNotWriteForCoordinators(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for _, name := range []string{"__consumer_offsets", "__transaction_state", "__share_group_state"} {
		id := createTopic(t, c, name, 1)
		for v := int16(3); v <= 13; v++ {
			for _, acks := range []int16{-1, 1} {
				req := produceRequest(acks, part{topic: name, id: id, records: batchOf(t, record.Options{}, testTime)})
				wantCode(t, name, produced(do[*kmsg.ProduceResponse](c, v, req)).ErrorCode, kerr.InvalidTopicException)
			}
		}
	}
	createTopic(t, c, "__other", 1)
	produce(t, c, "__other", 0, batchOf(t, record.Options{}, testTime))
}
