package config

import "fmt"

// Type is the type of a key's value, numbered as in DescribeConfigs' config_type field.
type Type int8

// The types of Kafka's configuration definitions.
const (
	Boolean Type = iota + 1
	String
	Int
	Short
	Long
	Double
	List
	Class
	Password
)

var typeNames = [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is Kafka's name of the type.
func (t Type) String() string {
	if t < 0 || int(t) >= len(typeNames) {
		return fmt.Sprintf("Type(%d)", int8(t))
	}
	return typeNames[t]
}

// Source says which layer a value came from, numbered as in DescribeConfigs' config_source field.
type Source int8

// The layers, the strongest first.
const (
	SourceTopic          Source = 1 // set on the topic
	SourceDynamicBroker  Source = 2 // set on this broker at run time
	SourceDynamicDefault Source = 3 // set for all brokers at run time
	SourceStatic         Source = 4 // set in the file, the environment or on the command line
	SourceDefault        Source = 5 // the default of the table
	SourceGroup          Source = 8 // set on the group
)

// String is Kafka's name of the source.
func (s Source) String() string {
	switch s {
	case SourceTopic:
		return "DYNAMIC_TOPIC_CONFIG"
	case SourceDynamicBroker:
		return "DYNAMIC_BROKER_CONFIG"
	case SourceDynamicDefault:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case SourceStatic:
		return "STATIC_BROKER_CONFIG"
	case SourceDefault:
		return "DEFAULT_CONFIG"
	case SourceGroup:
		return "GROUP_CONFIG"
	}
	return fmt.Sprintf("Source(%d)", int8(s))
}

// Update says how a broker key changes while the broker runs.
type Update uint8

const (
	// ReadOnly keys take effect at start only.
	ReadOnly Update = iota
	// PerBroker keys can be changed at run time, for one broker at a time.
	PerBroker
	// ClusterWide keys can be changed at run time, for one broker or as the default of all.
	ClusterWide
)

// String is the word that Kafka's documentation uses.
func (u Update) String() string {
	return [...]string{"read-only", "per-broker", "cluster-wide"}[u]
}

// Scope is whose key it is.
type Scope uint8

const (
	// ScopeTopic keys are set on one topic.
	ScopeTopic Scope = iota
	// ScopeBroker keys are set on a broker, or on all of them.
	ScopeBroker
	// ScopeGroup keys are set on one group.
	ScopeGroup
)

// String is the word used in messages: "topic", "broker" or "group".
func (s Scope) String() string { return [...]string{"topic", "broker", "group"}[s] }

// Key is one row of the table.
type Key struct {
	Name    string
	Type    Type
	Default string // as text; meaningless if Null
	Null    bool   // no default: unset until somebody sets it
	Check   Check  // what a value must fulfil beyond its type
	Update  Update // broker keys only; the others can always be changed
	Inert   string // why the key is accepted but changes nothing; empty if it does
	Doc     string
	// Internal is what Kafka calls a key that it takes like any other, and shows nobody unless it was set.
	Internal bool

	// Synonyms are the broker keys that a key of topics or groups inherits from, the strongest first.
	Synonyms []Synonym

	setTopic  func(*Topic, Value)
	setBroker func(*Broker, Value)
	setGroup  func(*Group, Value)
}

// Sensitive tells whether the value must never be shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

// Synonym is a broker key that supplies the value of a key of topics or groups, times Factor (hours to milliseconds).
type Synonym struct {
	Name   string
	Factor int64
}

// UnknownKeyError is returned for a name that is not in the table.
type UnknownKeyError struct {
	Scope   Scope
	Name    string
	Similar string // a known name that it may be a misspelling of, or empty
}

func (e *UnknownKeyError) Error() string {
	msg := fmt.Sprintf("Unknown %s config name: %s", e.Scope, e.Name)
	if e.Similar != "" {
		msg += fmt.Sprintf(" (did you mean %s?)", e.Similar)
	}
	return msg
}

// InvalidValueError is returned for a value that the key's type or check refuses.
type InvalidValueError struct {
	Name, Value, Reason string
}

func (e *InvalidValueError) Error() string {
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", e.Value, e.Name, e.Reason)
}
