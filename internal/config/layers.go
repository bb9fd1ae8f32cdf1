package config

import (
	"fmt"
)

// Layers are the values that were set for a broker, as text, the weakest first. Keys missing from all of
// them have the table's default. Layers are only read.
type Layers struct {
	Static         map[string]string // file, environment, command line
	DynamicDefault map[string]string // for all brokers, from the cluster metadata
	Dynamic        map[string]string // for this broker, from the cluster metadata
}

// setting is a value with the layer that it came from.
type setting struct {
	value  Value
	source Source
}

// lookup returns the effective value of a broker key; its value is null if nobody set it and it has no default.
func (l Layers) lookup(k *Key) (setting, error) {
	for _, layer := range l.each() {
		text, ok := layer.values[k.Name]
		if !ok {
			continue
		}
		v, err := k.Parse(text)
		if err != nil {
			return setting{}, fmt.Errorf("%s: %w", layer.source, err)
		}
		return setting{v, layer.source}, nil
	}
	return setting{k.DefaultValue(), SourceDefault}, nil
}

type layer struct {
	values map[string]string
	source Source
}

// each returns the layers, the strongest first.
func (l Layers) each() [3]layer {
	return [3]layer{
		{l.Dynamic, SourceDynamicBroker},
		{l.DynamicDefault, SourceDynamicDefault},
		{l.Static, SourceStatic},
	}
}

// inherited returns the value that a topic without an override of the key has on this broker.
func (l Layers) inherited(k *Key) (setting, error) {
	for _, syn := range k.Synonyms {
		s, err := l.lookup(brokerIndex[syn.Name])
		if err != nil {
			return setting{}, err
		}
		if s.value.IsNull() {
			continue
		}
		if syn.Factor != 1 {
			s.value = scale(s.value, syn.Factor)
		}
		s.value.kind = k.Type
		return s, nil
	}
	return setting{k.DefaultValue(), SourceDefault}, nil
}

// scale multiplies a number by a unit. Any negative number means "unlimited" and stays -1.
func scale(v Value, factor int64) Value {
	if v.n < 0 {
		v.n = -1
	} else {
		v.n *= factor // INT times hours in milliseconds fits 64 bits
	}
	return v
}

// Broker parses what is in effect for the broker itself.
func (l Layers) Broker() (*Broker, error) {
	b := new(Broker)
	for i := range BrokerKeys {
		k := &BrokerKeys[i]
		if k.setBroker == nil {
			continue
		}
		s, err := l.lookup(k)
		if err != nil {
			return nil, err
		}
		if !s.value.IsNull() {
			k.setBroker(b, s.value)
		}
	}
	return b, nil
}

// Topic parses what is in effect for a topic without overrides of its own. Compute it once per change of the
// layers and derive the topics from it by With.
func (l Layers) Topic() (*Topic, error) {
	t := new(Topic)
	for i := range TopicKeys {
		k := &TopicKeys[i]
		s, err := l.inherited(k)
		if err != nil {
			return nil, err
		}
		k.setTopic(t, s.value)
	}
	return t, nil
}

// With returns the topic's configuration with the overrides put over t, t itself if there are none. The
// error names the first key, in alphabetical order, that is unknown or refused.
func (t *Topic) With(overrides map[string]string) (*Topic, error) {
	if len(overrides) == 0 {
		return t, nil
	}
	c := *t
	for _, name := range sortedKeys(overrides) {
		k, err := Lookup(ScopeTopic, name)
		if err != nil {
			return nil, err
		}
		v, err := k.Parse(overrides[name])
		if err != nil {
			return nil, err
		}
		k.setTopic(&c, v)
	}
	return &c, c.Check()
}

// ConflictError is returned for values that are valid one by one and impossible together.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

// Check refuses what no combination of layers may lead to, with a *ConflictError.
func (t *Topic) Check() error {
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return &ConflictError{fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
			t.MinCompactionLagMs, t.MaxCompactionLagMs)}
	}
	return nil
}
