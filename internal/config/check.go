package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Check is a condition on a value beyond its type.
type Check struct {
	// Text describes the valid values, for the documentation.
	Text string
	// reason returns the value as the message shows it and why it is refused, or an empty reason.
	reason func(*Key, Value) (shown, reason string)
}

func check(text string, bad func(Value) string) Check {
	return Check{Text: text, reason: func(_ *Key, v Value) (string, string) { return v.String(), bad(v) }}
}

func atLeast(low int64) Check {
	return check(fmt.Sprintf(">= %d", low), func(v Value) string {
		if v.n < low {
			return fmt.Sprintf("Value must be at least %d", low)
		}
		return ""
	})
}

func between(low, high int64) Check {
	return check(fmt.Sprintf("%d to %d", low, high), func(v Value) string {
		switch {
		case v.n < low:
			return fmt.Sprintf("Value must be at least %d", low)
		case v.n > high:
			return fmt.Sprintf("Value must be no more than %d", high)
		}
		return ""
	})
}

// fraction is a DOUBLE from 0 to 1.
func fraction() Check {
	return check("0 to 1", func(v Value) string {
		switch {
		case v.f < 0:
			return "Value must be at least 0"
		case v.f > 1:
			return "Value must be no more than 1"
		}
		return ""
	})
}

func gzipLevel() Check {
	return check("1 to 9, or -1", func(v Value) string {
		if v.n != -1 && (v.n < 1 || v.n > 9) {
			return "Value must be between 1 and 9 or equal to -1"
		}
		return ""
	})
}

// limitOrNone is a positive limit, or -1 for none.
func limitOrNone() Check {
	return check("-1, or >= 1", func(v Value) string {
		if v.n != -1 && v.n < 1 {
			return "Value must be unlimited (-1), or at least 1"
		}
		return ""
	})
}

func oneOf(values ...string) Check {
	list := strings.Join(values, ", ")
	return check(list, func(v Value) string {
		if !slices.Contains(values, v.s) {
			return "String must be one of: " + list
		}
		return ""
	})
}

// listOf refuses a list with an element that is not one of values, naming that element.
func listOf(values ...string) Check {
	list := strings.Join(values, ", ")
	return Check{Text: "a list of: " + list, reason: func(_ *Key, v Value) (string, string) {
		for _, e := range v.list {
			if !slices.Contains(values, e) {
				return e, "String must be one of: " + list
			}
		}
		return "", ""
	}}
}

// exactly is a list of one value.
func exactly(value string) Check {
	return check(value, func(v Value) string {
		if len(v.list) != 1 || v.list[0] != value {
			return "the list must be " + value
		}
		return ""
	})
}

// throttledReplicas is "*", or a list of partition:broker.
func throttledReplicas() Check {
	return Check{Text: "`*`, or partition:broker,...", reason: func(k *Key, v Value) (string, string) {
		if len(v.list) == 1 && v.list[0] == "*" {
			return "", ""
		}
		for _, e := range v.list {
			p, b, ok := strings.Cut(e, ":")
			if !ok || !isID(p) || !isID(b) {
				return "[" + strings.Join(v.list, ", ") + "]", k.Name + " must be the literal '*' or a list of replicas " +
					"in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
			}
		}
		return "", ""
	}}
}

func isID(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && n >= 0
}
