package ledger

import (
	"fmt"
	"maps"
	"slices"
)

// Rule is what a topic promises beyond keeping what it acknowledged.
type Rule struct {
	ExactlyOnce bool // no number stands twice, and those of a partition grow: one idempotent producer
	Retention   bool // old records may be deleted by themselves
}

// Audit holds the contents of the topic against what was promised, and returns each promise that is broken.
func (l *Ledger) Audit(c *Contents, rule Rule) []error {
	l.mu.Lock()
	errs := slices.Clone(l.wrong)
	l.mu.Unlock()
	errs = append(errs, l.kept("acknowledged", l.acked, c, rule)...)
	errs = append(errs, l.kept("shown to a consumer", l.shown, c, rule)...)
	for partition, span := range c.Spans {
		errs = append(errs, l.bounds(partition, span, rule)...)
		errs = append(errs, l.sequence(partition, span, c, rule)...)
	}
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s: %w", l.topic, err)
	}
	return errs
}

// kept checks that each place in a list still holds its record, or was deleted as somebody asked.
func (l *Ledger) kept(how string, places map[Place]uint64, c *Contents, rule Rule) []error {
	var errs []error
	for _, p := range slices.SortedFunc(maps.Keys(places), comparePlaces) {
		number := places[p]
		span, ok := c.Spans[p.Partition]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("lost: record %d, %s at %+v: there is no such partition", number, how, p))
		case p.Offset >= span.End:
			errs = append(errs, fmt.Errorf("lost: record %d, %s at %+v: the log ends at %d", number, how, p, span.End))
		case p.Offset < span.Start && (rule.Retention || p.Offset < l.trims[p.Partition].asked):
		case p.Offset < span.Start:
			errs = append(errs, fmt.Errorf("lost: record %d, %s at %+v: the log starts at %d", number, how, p, span.Start))
		default:
			errs = append(errs, l.holds(how, p, number, c)...)
		}
	}
	return errs
}

func (l *Ledger) holds(how string, p Place, number uint64, c *Contents) []error {
	value, ok := c.Records[p]
	if !ok {
		return []error{fmt.Errorf("lost: record %d, %s at %+v, is not there", number, how, p)}
	}
	if found, err := l.check(p, value); err != nil {
		return []error{err}
	} else if found != number {
		return []error{fmt.Errorf("changed: record %d, %s at %+v: record %d stands there", number, how, p, found)}
	}
	return nil
}

// bounds checks the log start offset: never back behind what was acknowledged, never past what was asked.
func (l *Ledger) bounds(partition int32, span Span, rule Rule) []error {
	t := l.trims[partition]
	var errs []error
	if span.Start < t.acked {
		errs = append(errs, fmt.Errorf("back: partition %d starts at %d, deleted below %d was acknowledged", partition, span.Start, t.acked))
	}
	if span.Start > t.asked && !rule.Retention {
		errs = append(errs, fmt.Errorf("lost: partition %d starts at %d, nobody asked for more than %d to be deleted", partition, span.Start, t.asked))
	}
	return errs
}

// sequence checks every record of a partition: offsets without a gap, whole records, and the order of numbers.
func (l *Ledger) sequence(partition int32, span Span, c *Contents, rule Rule) []error {
	var errs []error
	last := int64(-1)
	for offset := span.Start; offset < span.End; offset++ {
		p := Place{partition, offset}
		value, ok := c.Records[p]
		if !ok {
			errs = append(errs, fmt.Errorf("gap: no record at %+v, the log spans %d to %d", p, span.Start, span.End))
			continue
		}
		number, err := l.check(p, value)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if rule.ExactlyOnce && int64(number) <= last {
			errs = append(errs, fmt.Errorf("twice or out of order: record %d at %+v, after record %d", number, p, last))
		}
		last = int64(number)
	}
	return errs
}

func comparePlaces(a, b Place) int {
	if a.Partition != b.Partition {
		return int(a.Partition - b.Partition)
	}
	return int(a.Offset - b.Offset)
}
