package powercut

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// backoff is how long clients wait before they try again.
const backoff = 2 * time.Millisecond

// dial makes a client that never gives up.
func (m *machine) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokerAddr), kgo.Dialer(m.network.Dialer(clientHost)),
		kgo.RetryBackoffFn(func(int) time.Duration { return backoff }), kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RecordRetries(1 << 30), kgo.RequestRetries(1 << 30), kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.FetchMaxWait(20 * time.Millisecond),
	}, opts...)...)
}

// asker sends single requests, as somebody who wants to know about each answer.
type asker struct{ cl *kgo.Client }

// ask sends a request once. Whether the broker acted on it is not known after an error.
func ask[R kmsg.Response](ctx context.Context, a asker, req kmsg.Request) (R, error) {
	var none R
	resp, err := a.cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return none, err
	}
	return resp.(R), nil
}

// errUnsure is an answer after which it is not known whether the broker did what it was asked.
var errUnsure = errors.New("not known")

// until tries again until the outcome is known: nil, or an error that is not errUnsure. try is told how many tries there
// were before, because one of those may have succeeded unheard.
func until(ctx context.Context, try func(before int) error) error {
	for before := 0; ; before++ {
		err := try(before)
		if !errors.Is(err, errUnsure) {
			return err
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return fmt.Errorf("%w, the last try: %w", context.Cause(ctx), err)
		}
	}
}

// sure tells what an answer means: the error of its code, or errUnsure if there is none or it promises nothing.
func sure(err error, code int16) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsure, err)
	}
	switch err := kerr.ErrorForCode(code); {
	case err == nil:
		return nil
	case errors.Is(err, kerr.KafkaStorageError), errors.Is(err, kerr.RequestTimedOut), errors.Is(err, kerr.NotLeaderForPartition),
		errors.Is(err, kerr.NotController), errors.Is(err, kerr.CoordinatorLoadInProgress):
		return fmt.Errorf("%w: %w", errUnsure, err)
	default:
		return err
	}
}
