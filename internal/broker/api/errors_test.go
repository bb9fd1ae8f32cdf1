package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/fetchsession"
	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/record"
	"chronik/internal/replica"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// reachable are the exported errors of the packages below that a request can end with.
var reachable = map[string]error{
	"model.ErrBadTopicName": model.ErrBadTopicName,

	"replica.ErrUnknownPartition": replica.ErrUnknownPartition, "replica.ErrNotLeader": replica.ErrNotLeader,
	"replica.ErrFencedEpoch": replica.ErrFencedEpoch, "replica.ErrUnknownEpoch": replica.ErrUnknownEpoch,
	"replica.ErrOffsetOutOfRange": replica.ErrOffsetOutOfRange, "replica.ErrStorage": replica.ErrStorage,
	"replica.ErrOneBatch": replica.ErrOneBatch, "replica.ErrTooLarge": replica.ErrTooLarge,
	"replica.ErrLargerThanSegment": replica.ErrLargerThanSegment, "replica.ErrTimestamp": replica.ErrTimestamp,
	"replica.ErrNoKey": replica.ErrNoKey, "replica.ErrCompressed": replica.ErrCompressed,

	"wal.ErrClosed": wal.ErrClosed, "wal.ErrFenced": wal.ErrFenced, "wal.ErrNoSpace": wal.ErrNoSpace, "wal.ErrEpoch": wal.ErrEpoch,
	"wal.ErrTooLarge": wal.ErrTooLarge, "wal.ErrTruncated": wal.ErrTruncated, "wal.ErrOutOfRange": wal.ErrOutOfRange,
	"wal.ErrCorrupt": wal.ErrCorrupt,

	"record.ErrCRC": record.ErrCRC, "record.ErrCount": record.ErrCount, "record.ErrCodec": record.ErrCodec, "record.ErrControl": record.ErrControl,
	"record.ErrProducer": record.ErrProducer, "record.ErrTimestampType": record.ErrTimestampType, "record.ErrTruncated": record.ErrTruncated,
	"record.ErrMagic": record.ErrMagic, "record.ErrSize": record.ErrSize, "record.ErrRecord": record.ErrRecord,

	"producer.ErrOutOfOrderSequence": producer.ErrOutOfOrderSequence, "producer.ErrInvalidProducerEpoch": producer.ErrInvalidProducerEpoch,
	"producer.ErrInvalidTxnState": producer.ErrInvalidTxnState, "producer.ErrCoordinatorFenced": producer.ErrCoordinatorFenced,

	"replica.ErrOffsetNotAvailable": replica.ErrOffsetNotAvailable, "replica.ErrNotEnoughReplicas": replica.ErrNotEnoughReplicas,
	"replica.ErrNotEnoughReplicasAfterAppend": replica.ErrNotEnoughReplicasAfterAppend,

	"quorum.ErrUnknownOutcome": quorum.ErrUnknownOutcome, "quorum.ErrNotController": quorum.ErrNotController,
	"quorum.ErrMembership": quorum.ErrMembership, "quorum.ErrBusy": quorum.ErrBusy,
	"quorum.ErrStopped": quorum.ErrStopped, "quorum.ErrNoSpace": quorum.ErrNoSpace, "quorum.ErrTooLarge": quorum.ErrTooLarge,

	"fetchsession.ErrSessionNotFound": fetchsession.ErrSessionNotFound, "fetchsession.ErrSessionEpoch": fetchsession.ErrSessionEpoch,
	"fetchsession.ErrSessionTopicID": fetchsession.ErrSessionTopicID,

	"runtime.ErrNoTopic": runtime.ErrNoTopic, "shard.ErrNotCoordinator": shard.ErrNotCoordinator, "shard.ErrLoading": shard.ErrLoading,
	"shard.ErrTimedOut": shard.ErrTimedOut, "shard.ErrTooLarge": shard.ErrTooLarge,
	"group.ErrInvalidGroupID": group.ErrInvalidGroupID, "group.ErrInvalidSessionTimeout": group.ErrInvalidSessionTimeout,
	"group.ErrUnknownMember": group.ErrUnknownMember, "group.ErrFencedInstance": group.ErrFencedInstance,
	"group.ErrMemberIDRequired": group.ErrMemberIDRequired, "group.ErrGroupMaxSize": group.ErrGroupMaxSize,
	"group.ErrInconsistentProtocol": group.ErrInconsistentProtocol, "group.ErrIllegalGeneration": group.ErrIllegalGeneration,
	"group.ErrRebalance": group.ErrRebalance, "group.ErrGroupNotFound": group.ErrGroupNotFound, "group.ErrNonEmptyGroup": group.ErrNonEmptyGroup,
	"group.ErrSubscribed": group.ErrSubscribed, "group.ErrMetadataTooLarge": group.ErrMetadataTooLarge, "group.ErrUnstableOffset": group.ErrUnstableOffset,

	"server.ErrShutdown": server.ErrShutdown, "server.ErrClosed": server.ErrClosed,
	"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
}

// TestD4EveryErrorHasACode: what can reach a client says more than "unknown", bare and wrapped.
func TestD4EveryErrorHasACode(t *testing.T) {
	for name, err := range reachable {
		code := Code(err)
		if code == 0 || code == kerr.UnknownServerError.Code {
			t.Errorf("%s has the code %d", name, code)
		}
		if wrapped := Code(fmt.Errorf("somewhere: %w", err)); wrapped != code {
			t.Errorf("%s wrapped has the code %d, bare %d", name, wrapped, code)
		}
	}
}

// TestD4NoErrorIsSuccess: only nil is 0.
func TestD4NoErrorIsSuccess(t *testing.T) {
	if c := Code(nil); c != 0 {
		t.Errorf("Code(nil) = %d", c)
	}
	for _, err := range []error{errors.New("something else"), &controller.Refusal{}, &controller.Refusal{Reason: 250}, wal.ErrOffset, wal.ErrIdentity} {
		if c := Code(err); c != kerr.UnknownServerError.Code {
			t.Errorf("Code(%v) = %d, want UNKNOWN_SERVER_ERROR", err, c)
		}
	}
	if message(nil) != nil || *message(errNoCluster) == "" {
		t.Error("message must be nil for nil, and only then")
	}
	for _, k := range kafkaCodes {
		if k.kafka.Code == 0 || Code(k.err) != k.kafka.Code {
			t.Errorf("%v: the table says %d, Code says %d: an earlier line shadows it", k.err, k.kafka.Code, Code(k.err))
		}
	}
}

// TestRefusalsHaveTheirCodes: a reason is named after its Kafka error.
func TestRefusalsHaveTheirCodes(t *testing.T) {
	n := 0
	for r := controller.Reason(1); r.String() != fmt.Sprintf("Reason(%d)", r); r++ {
		n++
		got := kerr.ErrorForCode(Code(&controller.Refusal{Reason: r}))
		if got == nil || got.(*kerr.Error).Message != r.String() {
			t.Errorf("%v becomes %v", r, got)
		}
	}
	if n != len(reasonCodes) {
		t.Errorf("%d reasons, but %d codes for them", n, len(reasonCodes))
	}
}
