package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	dialTimeout     = 5 * time.Second
	answerTimeout   = 10 * time.Second
	deliveryTimeout = 30 * time.Second // after which an unanswered record counts as failed
)

// codec maps a flag's word to the client's preference.
func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none", "":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("--compression %q is not known: use none, gzip, snappy, lz4 or zstd", name)
}

// baseOptions are those of every client of a run.
func (o *Options) baseOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID(o.ClientID), kgo.DialTimeout(dialTimeout), kgo.DisableClientMetrics(),
	}
}

// producerOptions are those of a client that writes to topic with at most outstanding records in its buffers.
func (o *Options) producerOptions(topic string, outstanding int) []kgo.Opt {
	compression, _ := codec(o.Compression) // validated
	opts := append(o.baseOptions(),
		kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(compression),
		kgo.ProducerBatchMaxBytes(int32(o.BatchBytes)),
		kgo.ProducerLinger(o.Linger),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// The callback that frees a place also takes it again, before the client has counted it as free.
		kgo.MaxBufferedRecords(outstanding+16),
		kgo.RecordPartitioner(o.partitioner()),
	)
	switch o.Acks {
	case 0:
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	case 1:
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	default:
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	}
	if !o.Idempotence {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(o.MaxInFlight))
	}
	return opts
}

func (o *Options) partitioner() kgo.Partitioner {
	switch {
	case o.Keys > 0:
		return kgo.StickyKeyPartitioner(nil) // as Kafka's own client hashes keys
	case o.Partitioner == Sticky:
		return kgo.StickyPartitioner()
	}
	return kgo.ManualPartitioner()
}

// reach dials the brokers so that the commonest mistake gets the clearest answer. One is enough.
func reach(ctx context.Context, brokers []string) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	var errs []error
	for _, addr := range brokers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("%q is not host:port", addr))
			continue
		}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no broker at %s: %w\n  start one with `chronik-server standalone`, or name another with --bootstrap-servers",
		strings.Join(brokers, ","), errors.Join(errs...))
}

// explain adds what to do to an error of the client library.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: interrupted: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %s: is this the port of a Kafka-compatible broker, and is it healthy? (%w)", doing, answerTimeout, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ParseBrokers splits a comma-separated list and drops empty entries.
func ParseBrokers(list string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(list, " ", ""), ","), func(s string) bool { return s == "" })
}
