package powercut

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
)

// dialer makes a client.
type dialer func(...kgo.Opt) (*kgo.Client, error)

// audit holds what the broker has against everything that it acknowledged.
func (l *load) audit(ctx context.Context, dial dialer) []error {
	var errs []error
	for _, t := range l.topics {
		errs = append(errs, auditTopic(ctx, dial, t.Ledger, t.rule)...)
		for _, refusal := range t.Refused() {
			// The client may give up when its connection breaks, not because of what the broker answers.
			if code := new(kerr.Error); errors.As(refusal.Err, &code) {
				errs = append(errs, fmt.Errorf("%s: %d records were refused for good: %w", t.Topic(), refusal.Times, refusal.Err))
			}
		}
	}
	return append(errs, l.owner.audit(ctx, dial)...)
}

func auditTopic(ctx context.Context, dial dialer, l *ledger.Ledger, rule ledger.Rule) []error {
	contents, err := ledger.Read(ctx, dial, l.Topic())
	if err != nil {
		return []error{err}
	}
	return l.Audit(contents, rule)
}

// audit checks the topics that were created and deleted, and the configurations.
func (o *owner) audit(ctx context.Context, dial dialer) []error {
	var errs []error
	for i := range o.topics {
		errs = append(errs, o.auditChurn(ctx, dial, &o.topics[i], "churn-"+strconv.Itoa(i))...)
	}
	for c, value := range o.configs {
		got, err := o.configured(ctx, c.topic, c.key)
		if want := strconv.Itoa(value); err != nil || got != want {
			errs = append(errs, fmt.Errorf("lost: %s of %q was acknowledged to be %s and is %q (%v)", c.key, c.topic, want, got, err))
		}
	}
	return errs
}

func (o *owner) auditChurn(ctx context.Context, dial dialer, t *incarnation, name string) []error {
	found, partitions, err := o.lookUp(ctx, name)
	switch {
	case err != nil:
		return []error{fmt.Errorf("looking for %s: %w", name, err)}
	case t.Ledger == nil && partitions > 0:
		return []error{fmt.Errorf("back: the deletion of %s was acknowledged, and it is there", name)}
	case t.Ledger == nil:
		return nil
	case found != t.id:
		return []error{fmt.Errorf("changed: %s was created with ID %x and has %x (%d partitions)", name, t.id, found, partitions)}
	case partitions != t.partitions:
		return []error{fmt.Errorf("changed: %s was acknowledged to have %d partitions and has %d", name, t.partitions, partitions)}
	}
	return auditTopic(ctx, dial, t.Ledger, ledger.Rule{})
}
