package api_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/api"
	"chronik/internal/node/nodetest"
)

// TestEveryVersionAnswers: whatever is advertised is answered in the version that was asked for, even a request with
// nothing in it.
func TestEveryVersionAnswers(t *testing.T) {
	table, err := api.Table()
	if err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for _, k := range table.ApiVersions() {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			req := kmsg.RequestForKey(k.ApiKey)
			req.SetVersion(v)
			switch r := req.(type) {
			case *kmsg.ProduceRequest:
				r.Acks = 1
			case *kmsg.FetchRequest:
				r.SessionEpoch = -1
			}
			c.Send(req)
			c.Receive()
		}
	}
}

func TestApiVersions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for v := int16(0); v <= 4; v++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test-client", "1.0"
		r := do[*kmsg.ApiVersionsResponse](c, v, req)
		if r.ErrorCode != 0 || len(r.ApiKeys) < 19 {
			t.Errorf("v%d: code %d, %d keys", v, r.ErrorCode, len(r.ApiKeys))
		}
	}
	for _, name := range []string{"", "-a", "a-", "a b", "ä", "a_b"} {
		for _, asVersion := range []bool{false, true} {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = name, "1.0"
			if asVersion {
				req.ClientSoftwareName, req.ClientSoftwareVersion = "client", name
			}
			if r := do[*kmsg.ApiVersionsResponse](c, 3, req); r.ErrorCode != 42 {
				t.Errorf("name %q, version %q: code %d, want INVALID_REQUEST", req.ClientSoftwareName, req.ClientSoftwareVersion, r.ErrorCode)
			}
		}
	}
}

// TestApiVersionsTooNew: a version that is to come is answered in version 0, with what this broker has of it (KIP-511).
func TestApiVersionsTooNew(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	// length, key 18, version 99, correlation ID 7, client ID null, no tags
	if _, err := c.Write([]byte{0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0}); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 4+4+2+4+6)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	if code := body[9]; code != 35 {
		t.Errorf("error code %d, want UNSUPPORTED_VERSION", code)
	}
	if key := body[15]; key != 18 {
		t.Errorf("the first key is %d, want that of ApiVersions", key)
	}
}

// TestUnknownRequestsCloseTheConnection: there is no form in which to answer them (E2).
func TestUnknownRequestsCloseTheConnection(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	for _, head := range [][]byte{{0x7f, 0, 0, 0}, {0, 3, 0, 99}, {0, 3, 0xff, 0xff}} {
		c := b.Client()
		frame := append([]byte{0, 0, 0, 11}, append(head, 0, 0, 0, 7, 0xff, 0xff, 0)...)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		c.ExpectEnd()
	}
}

// TestARealClient: franz-go creates, produces and consumes.
func TestARealClient(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(fmt.Sprintf("%s:%d", nodetest.Host, nodetest.KafkaPort)), kgo.Dialer(b.Net.Dialer("10.0.0.3")),
		kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const n = 500
	var records []*kgo.Record
	for i := range n {
		records = append(records, kgo.StringRecord(fmt.Sprint(i)))
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for next := 0; next < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			if r.Offset != int64(next) || string(r.Value) != fmt.Sprint(next) {
				t.Fatalf("record %d has offset %d and value %s", next, r.Offset, r.Value)
			}
			next++
		}
	}
}
