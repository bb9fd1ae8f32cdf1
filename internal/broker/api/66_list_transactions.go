package api

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// ListTransactions (66), versions 0 to 2: the transactional IDs that this broker coordinates (KIP-664), since version 1 also those with transactions that
// are open for long, since version 2 those whose IDs match a pattern as a whole (KIP-1152).
func (b *Broker) listTransactions(ctx context.Context, _ *server.Request, req *kmsg.ListTransactionsRequest) *kmsg.ListTransactionsResponse {
	resp := kmsg.NewPtrListTransactionsResponse()
	in := txn.ListRequest{States: req.StateFilters, DurationMs: -1}
	for _, p := range req.ProducerIDFilters {
		in.Producers = append(in.Producers, model.ProducerID(p))
	}
	if req.Version >= 1 {
		in.DurationMs = req.DurationFilterMillis
	}
	if p := req.TransactionalIDPattern; req.Version >= 2 && p != nil && *p != "" {
		var err error
		if in.Pattern, err = regexp.Compile("^(?:" + *p + ")$"); err != nil {
			resp.ErrorCode = Code(fmt.Errorf("%w: %w", errBadPattern, err))
			return resp
		}
	}
	l := listing[txn.Listed]{done: make(chan struct{})}
	for _, name := range req.StateFilters {
		if _, ok := schema.TransactionStatusNamed(name); !ok {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	l.expect(b.Transactions.Each(
		func(m *txn.Machine, now time.Time) shard.Result {
			return m.List(now, in, func(r txn.ListReply) { l.add(r.Transactions, r.Err) })
		},
		func(err error) { l.add(nil, err) }))
	all, err := l.wait(ctx)
	if err != nil {
		resp.ErrorCode = groupCode(err)
		return resp
	}
	slices.SortFunc(all, func(a, b txn.Listed) int { return strings.Compare(a.TransactionalID, b.TransactionalID) })
	for _, t := range all {
		out := kmsg.NewListTransactionsResponseTransactionState()
		out.TransactionalID, out.ProducerID, out.TransactionState = t.TransactionalID, int64(t.Producer), t.State.String()
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}
