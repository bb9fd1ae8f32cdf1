package config

import (
	"math"
	"strconv"
	"strings"
)

// Value is a parsed value of some key. The zero Value is null.
type Value struct {
	kind Type // 0 is null
	n    int64
	f    float64
	s    string
	list []string
}

// IsNull tells whether there is no value.
func (v Value) IsNull() bool { return v.kind == 0 }

// Bool returns a BOOLEAN.
func (v Value) Bool() bool { return v.n != 0 }

// Int returns an INT, SHORT or LONG.
func (v Value) Int() int64 { return v.n }

// Float returns a DOUBLE.
func (v Value) Float() float64 { return v.f }

// Text returns a STRING, CLASS or PASSWORD.
func (v Value) Text() string { return v.s }

// List returns the elements of a LIST. They must not be changed.
func (v Value) List() []string { return v.list }

// String is the text in which Kafka prints the value.
func (v Value) String() string {
	switch v.kind {
	case 0:
		return ""
	case Boolean:
		return strconv.FormatBool(v.n != 0)
	case Int, Short, Long:
		return strconv.FormatInt(v.n, 10)
	case Double:
		return formatDouble(v.f)
	case List:
		return strings.Join(v.list, ",")
	}
	return v.s
}

// formatDouble prints as Java's Double.toString does: always a fraction, and an exponent below 1e-3 and
// from 1e7 on.
func formatDouble(f float64) string {
	a := math.Abs(f)
	if a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exp) // FormatFloat writes a valid exponent
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Parse reads text as the key's type and checks it. The error is an *InvalidValueError worded as Kafka
// words it. A sensitive value does not appear in it.
func (k *Key) Parse(text string) (Value, error) {
	v, reason := parse(k.Type, strings.TrimSpace(text))
	if reason != "" {
		return Value{}, k.invalid(text, reason)
	}
	if k.Check.reason != nil {
		if shown, reason := k.Check.reason(k, v); reason != "" {
			return Value{}, k.invalid(shown, reason)
		}
	}
	return v, nil
}

func (k *Key) invalid(value, reason string) error {
	if k.Sensitive() {
		value = "[hidden]"
	}
	return &InvalidValueError{Name: k.Name, Value: value, Reason: reason}
}

// parse returns the value, or why the text is none of that type.
func parse(t Type, text string) (Value, string) {
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(text, "true"):
			return Value{kind: t, n: 1}, ""
		case strings.EqualFold(text, "false"):
			return Value{kind: t}, ""
		}
		return Value{}, "Expected value to be either true or false"
	case Int:
		return parseInt(t, text, 32)
	case Short:
		return parseInt(t, text, 16)
	case Long:
		return parseInt(t, text, 64)
	case Double:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) {
			return Value{}, "Not a number of type DOUBLE"
		}
		return Value{kind: t, f: f}, ""
	case List:
		return Value{kind: t, list: SplitList(text)}, ""
	}
	return Value{kind: t, s: text}, ""
}

func parseInt(t Type, text string, bits int) (Value, string) {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return Value{}, "Not a number of type " + t.String()
	}
	return Value{kind: t, n: n}, ""
}

// SplitList cuts a LIST at its commas and trims the elements. Empty text is an empty list.
func SplitList(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
