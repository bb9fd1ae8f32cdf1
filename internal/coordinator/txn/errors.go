package txn

import (
	"errors"
	"fmt"

	"chronik/internal/coordinator/shard"
)

// What requests are refused with. Each is the Kafka error of that name; what a name means to a version of a request is for who translates:
// ErrProducerFenced was INVALID_PRODUCER_EPOCH before InitProducerId 4, AddPartitionsToTxn 2, AddOffsetsToTxn 2 and EndTxn 2.
var (
	ErrInvalidRequest           = errors.New("the transactional ID is empty")
	ErrInvalidTimeout           = errors.New("the transaction timeout is not between 1 ms and transaction.max.timeout.ms")
	ErrInvalidProducerIDMapping = errors.New("the transactional ID does not have this producer ID")
	ErrProducerFenced           = errors.New("a newer producer has this transactional ID, or its transaction has timed out")
	ErrConcurrentTransactions   = errors.New("the transaction is being ended: ask again")
	ErrInvalidTxnState          = errors.New("the transaction cannot be ended this way in the state in which it is")
	ErrTransactionAbortable     = errors.New("the partition is not of this transaction: abort it")
	ErrTransactionalIDNotFound  = errors.New("the transactional ID does not exist")
	ErrNotCoordinator           = shard.ErrNotCoordinator
	ErrBehind                   = fmt.Errorf("%w: it has not heard of a partition that the transaction is to write to", shard.ErrLoading)
)

// What Apply refuses.
var (
	errForeign = errors.New("not a record of the transactions' topic")
	errStatus  = errors.New("a transaction in a state that is never written")
)
