package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	lifecycleRecords = 1 << 20 // of 1 KiB
	lifecycleTopic   = "compare-lifecycle"
	lifecycleSeed    = 20_260_102
	startLimit       = 2 * time.Minute
)

// lifecycle takes a broker of its own through its life: from the start of the process on an empty
// directory to the first acknowledged record; 1 GiB into one partition; kill -9; from the start of the process
// to the first record fetched, which is the last one written, and to the first one acknowledged. Formatting Kafka's directory is not
// counted. All that was acknowledged is then read and verified.
func (h *harness) lifecycle(ctx context.Context, of setup) (m *measurement, err error) {
	settle()
	c, err := h.prepare(ctx, of, "lifecycle")
	if err != nil {
		return nil, err
	}
	b := c.nodes[0]
	defer func() { err = errors.Join(err, b.kill(), c.remove()) }()
	m = &measurement{Broker: of, Command: "lifecycle of " + strings.Join(b.argv, " "), Metrics: make(map[string]float64)}
	if m.Metrics[startSeconds], err = h.untilProduced(ctx, b, "compare-start"); err != nil {
		return nil, err
	}
	common := []string{"--topic", lifecycleTopic, "--seed", strconv.Itoa(lifecycleSeed), "--message-size", "1024"}
	fill := append(strings.Fields(bulk), "--records", strconv.Itoa(lifecycleRecords), "--warmup", "0", "--duration", "10m")
	if _, err := h.bench(ctx, h.tool("chronik-bench"), c, append(common, fill...)); err != nil {
		return nil, fmt.Errorf("fill %s: %w", lifecycleTopic, err)
	}
	if err := b.kill(); err != nil {
		return nil, err
	}
	settle() // the dead broker's dirty pages are not the next process's to pay for
	if err := h.restart(ctx, b, m); err != nil {
		return nil, err
	}
	read, err := h.bench(ctx, h.tool("chronik-bench"), c, append(common, "--mode", "consume", "--duration", "10m"))
	if err != nil {
		return m, err
	}
	m.Verified, m.Verdict = read.Verified, read.Verdict
	return m, nil
}

// untilProduced starts the process and returns the seconds to the first acknowledged record.
func (h *harness) untilProduced(ctx context.Context, b *broker, topic string) (float64, error) {
	if err := b.start(); err != nil {
		return 0, err
	}
	if err := b.listening(ctx, startLimit); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	cl, err := probe(b, kgo.DefaultProduceTopic(topic))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for {
		_, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, topic)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			break
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%s does not create a topic: %w", b.name, err)
		}
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("first")).FirstErr(); err != nil {
		return 0, fmt.Errorf("%s does not take a record: %w", b.name, err)
	}
	return time.Since(b.started).Seconds(), nil
}

// restart starts the process again and notes when the last record can be fetched and another one written.
func (h *harness) restart(ctx context.Context, b *broker, m *measurement) error {
	if err := b.start(); err != nil {
		return err
	}
	if err := b.listening(ctx, startLimit); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	last := map[string]map[int32]kgo.Offset{lifecycleTopic: {0: kgo.NewOffset().At(lifecycleRecords - 1)}}
	cl, err := probe(b, kgo.ConsumePartitions(last), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.DefaultProduceTopic("compare-start"))
	if err != nil {
		return err
	}
	defer cl.Close()
	produced := make(chan error, 1)
	go func() {
		err := cl.ProduceSync(ctx, kgo.StringRecord("after the restart")).FirstErr()
		m.Metrics[produceSeconds] = time.Since(b.started).Seconds()
		produced <- err
	}()
	for fetched := false; !fetched; {
		f := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s gives nothing back after the restart: %w (%v)", b.name, err, f.Err())
		}
		f.EachRecord(func(r *kgo.Record) { fetched = fetched || r.Offset == lifecycleRecords-1 })
	}
	m.Metrics[fetchSeconds] = time.Since(b.started).Seconds()
	if err := <-produced; err != nil {
		return fmt.Errorf("%s takes nothing after the restart: %w", b.name, err)
	}
	return nil
}

// probe connects a client that retries without patience, so that it measures the broker's time and not its own.
func probe(b *broker, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts,
		kgo.SeedBrokers(b.addr), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 2 * time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.DisableClientMetrics())...)
}
