package node_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

// TestCoordinatorMetrics: what a broker coordinates can be seen, by type and state.
func TestCoordinatorMetrics(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	create(t, c, "t")
	coordinated(t, c, 0, "g")
	coordinated(t, c, 1, "x")

	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 8, "g", -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "t"
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Offset = 0
	topic.Partitions = append(topic.Partitions, part)
	commit.Topics = append(commit.Topics, topic)
	ask(t, c, func() int16 {
		c.Send(commit)
		return c.Receive().(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	})
	id := "x"
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 4, &id, 10000
	ask(t, c, func() int16 {
		c.Send(init)
		return c.Receive().(*kmsg.InitProducerIDResponse).ErrorCode
	})

	client := http.Client{Transport: &http.Transport{DialContext: b.Net.Dialer("10.0.0.9"), DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://%s/metrics", b.HTTPAddr()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`chronik_groups{state="Empty",type="classic"} 1`, `chronik_group_members{type="classic"} 0`, `chronik_group_offsets 1`,
		`chronik_transactional_ids{state="Empty"} 1`, `chronik_oldest_transaction_seconds 0`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// coordinated waits until a group (0) or a transactional ID (1) has a coordinator.
func coordinated(t *testing.T, c *nodetest.Client, kind int8, key string) {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorType, find.CoordinatorKeys = 4, kind, []string{key}
	ask(t, c, func() int16 {
		c.Send(find)
		return c.Receive().(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode
	})
}

// ask asks until the coordinator is there.
func ask(t *testing.T, c *nodetest.Client, once func() int16) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		code := once()
		if code == 0 {
			return
		}
		if err := kerr.ErrorForCode(code); !kerr.IsRetriable(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
