package config

import (
	"fmt"
	"slices"
	"strings"
)

// OpType is what an incremental change does to a key, numbered as in IncrementalAlterConfigs.
type OpType int8

// The operations. Append and Subtract are for keys of type LIST.
const (
	OpSet OpType = iota
	OpDelete
	OpAppend
	OpSubtract
)

// String is Kafka's name of the operation.
func (o OpType) String() string {
	if o < OpSet || o > OpSubtract {
		return fmt.Sprintf("OpType(%d)", int8(o))
	}
	return [...]string{"SET", "DELETE", "APPEND", "SUBTRACT"}[o]
}

// Op is one incremental change. Value is not looked at for OpDelete.
type Op struct {
	Name  string
	Type  OpType
	Value string
}

// OpError is returned for an operation that does not fit the key.
type OpError struct{ Reason string }

func (e *OpError) Error() string { return e.Reason }

// Change is the outcome for one key: its new value, or that it is no longer set.
type Change struct {
	Name    string
	Value   string
	Deleted bool
}

// Apply turns operations on a resource that has the given values into changes, sorted as the operations
// are. An operation that changes nothing yields none. Deleting what is not set, known or not, is allowed: it is
// how leftovers are removed. Append and Subtract start from the table's default where the key is not set.
func Apply(scope Scope, current map[string]string, ops []Op) ([]Change, error) {
	var changes []Change
	for i, op := range ops {
		if slices.ContainsFunc(ops[:i], func(o Op) bool { return o.Name == op.Name }) {
			return nil, &OpError{"Error due to duplicate config keys: " + op.Name}
		}
		old, isSet := current[op.Name]
		if op.Type == OpDelete {
			if isSet {
				changes = append(changes, Change{Name: op.Name, Deleted: true})
			}
			continue
		}
		value, err := applyOp(scope, old, isSet, op)
		if err != nil {
			return nil, err
		}
		if !isSet || value != old {
			changes = append(changes, Change{Name: op.Name, Value: value})
		}
	}
	return changes, nil
}

func applyOp(scope Scope, old string, isSet bool, op Op) (string, error) {
	k, err := Lookup(scope, op.Name)
	if err != nil {
		return "", err
	}
	value := op.Value
	switch op.Type {
	case OpSet:
	case OpAppend, OpSubtract:
		if k.Type != List {
			return "", &OpError{fmt.Sprintf("Can't %s to key %s because its type is not LIST.", op.Type, op.Name)}
		}
		if !isSet {
			old = k.Default
		}
		value = editList(SplitList(old), SplitList(op.Value), op.Type == OpAppend)
	default:
		return "", &OpError{fmt.Sprintf("Unknown operation %s on key %s.", op.Type, op.Name)}
	}
	if _, err := k.Parse(value); err != nil {
		return "", err
	}
	return value, nil
}

// editList adds the elements that are missing, or removes those that are there.
func editList(list, elems []string, add bool) string {
	for _, e := range elems {
		at := slices.Index(list, e)
		switch {
		case add && at < 0:
			list = append(list, e)
		case !add && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

// Replace turns a full replacement of a resource's values into changes, sorted by name: everything in next is
// set, everything else is no longer set.
func Replace(scope Scope, current, next map[string]string) ([]Change, error) {
	var changes []Change
	for _, name := range sortedKeys(next) {
		if err := Validate(scope, name, next[name]); err != nil {
			return nil, err
		}
		if old, ok := current[name]; !ok || old != next[name] {
			changes = append(changes, Change{Name: name, Value: next[name]})
		}
	}
	for _, name := range sortedKeys(current) {
		if _, ok := next[name]; !ok {
			changes = append(changes, Change{Name: name, Deleted: true})
		}
	}
	return changes, nil
}

// Merged returns current with the changes applied; current itself is not touched.
func Merged(current map[string]string, changes []Change) map[string]string {
	next := make(map[string]string, len(current)+len(changes))
	for k, v := range current {
		next[k] = v
	}
	for _, c := range changes {
		if c.Deleted {
			delete(next, c.Name)
		} else {
			next[c.Name] = c.Value
		}
	}
	return next
}

// CheckDynamic refuses to change broker keys that cannot be changed so: read-only ones, and, for the default of
// all brokers, those that are set per broker. The message is Kafka's.
func CheckDynamic(changes []Change, clusterWide bool) error {
	var fixed, perBroker []string
	for _, c := range changes {
		k, ok := brokerIndex[c.Name]
		if !ok {
			continue // a leftover that is being deleted
		}
		switch {
		case k.Update == ReadOnly:
			fixed = append(fixed, c.Name)
		case clusterWide && k.Update == PerBroker:
			perBroker = append(perBroker, c.Name)
		}
	}
	if len(fixed) > 0 {
		return &OpError{fmt.Sprintf("Cannot update these configs dynamically: [%s]", strings.Join(fixed, ", "))}
	}
	if len(perBroker) > 0 {
		return &OpError{fmt.Sprintf("Cannot update these configs at default cluster level, broker id must be specified: [%s]",
			strings.Join(perBroker, ", "))}
	}
	return nil
}
