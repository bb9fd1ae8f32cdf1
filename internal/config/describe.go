package config

import "fmt"

// Entry is what DescribeConfigs tells about one key.
type Entry struct {
	Key       *Key
	Value     string // the effective value
	IsNull    bool   // there is none, or it must not be shown
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Synonyms  []EntrySynonym // the values that were candidates, the strongest first
}

// EntrySynonym is one value that a key would take if the stronger ones were absent.
type EntrySynonym struct {
	Name   string
	Value  string
	IsNull bool // it must not be shown
	Source Source
}

// DescribeTopic returns all keys of a topic that has these overrides, in the table's order, with the
// values, sources and synonyms that Kafka would give.
func (l Layers) DescribeTopic(overrides map[string]string) ([]Entry, error) {
	entries := make([]Entry, 0, len(TopicKeys))
	for i := range TopicKeys {
		e, err := l.describeTopicKey(&TopicKeys[i], overrides)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (l Layers) describeTopicKey(k *Key, overrides map[string]string) (Entry, error) {
	e := Entry{Key: k, Sensitive: k.Sensitive(), Source: SourceDefault}
	if len(k.Synonyms) > 0 {
		e.Synonyms = l.synonyms(brokerIndex[k.Synonyms[0].Name])
	}
	s, err := l.inherited(k)
	if err != nil {
		return Entry{}, err
	}
	if text, ok := overrides[k.Name]; ok {
		if s.value, err = k.Parse(text); err != nil {
			return Entry{}, fmt.Errorf("%s: %w", SourceTopic, err)
		}
		own := EntrySynonym{Name: k.Name, Value: s.value.String(), Source: SourceTopic}
		e.Synonyms = append([]EntrySynonym{own.hide(k)}, e.Synonyms...)
	}
	e.finish(s.value)
	return e, nil
}

// DescribeGroup returns all keys of a group that has these values of its own, in the table's order, as Kafka would give them: what was
// set, also where the broker's bounds have become narrower since.
func (l Layers) DescribeGroup(own map[string]string) ([]Entry, error) {
	entries := make([]Entry, 0, len(GroupKeys))
	for i := range GroupKeys {
		k := &GroupKeys[i]
		e := Entry{Key: k, Synonyms: []EntrySynonym{{Name: k.Name, Value: k.Default, Source: SourceDefault}}}
		if len(k.Synonyms) > 0 {
			e.Synonyms = l.synonyms(brokerIndex[k.Synonyms[0].Name])
		}
		s, err := l.inherited(k)
		if err != nil {
			return nil, err
		}
		if text, ok := own[k.Name]; ok {
			if s.value, err = k.Parse(text); err != nil {
				return nil, fmt.Errorf("%s: %w", SourceGroup, err)
			}
			e.Synonyms = append([]EntrySynonym{{Name: k.Name, Value: s.value.String(), Source: SourceGroup}}, e.Synonyms...)
		}
		e.finish(s.value)
		entries = append(entries, e)
	}
	return entries, nil
}

// DescribeBroker returns all keys of the broker whose layers these are, but for internal ones that are not set.
func (l Layers) DescribeBroker() ([]Entry, error) {
	entries := make([]Entry, 0, len(BrokerKeys))
	for i := range BrokerKeys {
		k := &BrokerKeys[i]
		s, err := l.lookup(k)
		if err != nil {
			return nil, err
		}
		e := Entry{Key: k, Sensitive: k.Sensitive(), ReadOnly: k.Update == ReadOnly, Source: SourceDefault, Synonyms: l.synonyms(k)}
		if e.finish(s.value); e.Source == SourceDefault && k.Internal {
			continue
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// DescribeClusterDefault returns the keys that are set for all brokers at run time, and only these.
func (l Layers) DescribeClusterDefault() ([]Entry, error) {
	var entries []Entry
	for i := range BrokerKeys {
		k := &BrokerKeys[i]
		text, ok := l.DynamicDefault[k.Name]
		if !ok {
			continue
		}
		v, err := k.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", SourceDynamicDefault, err)
		}
		own := EntrySynonym{Name: k.Name, Value: v.String(), Source: SourceDynamicDefault}
		e := Entry{Key: k, Sensitive: k.Sensitive(), ReadOnly: k.Update == ReadOnly, Synonyms: []EntrySynonym{own.hide(k)}}
		e.finish(v)
		entries = append(entries, e)
	}
	return entries, nil
}

// finish sets the value, hidden if it must be, and the source, which is that of the strongest synonym.
func (e *Entry) finish(v Value) {
	e.Value, e.IsNull = v.String(), v.IsNull()
	if e.Sensitive {
		e.Value, e.IsNull = "", true
	}
	if len(e.Synonyms) > 0 {
		e.Source = e.Synonyms[0].Source
	}
}

func (s EntrySynonym) hide(k *Key) EntrySynonym {
	if k.Sensitive() {
		s.Value, s.IsNull = "", true
	}
	return s
}

// synonyms lists the candidates for a broker key as Kafka does: layer by layer, within a layer in the order of
// the key's family, and without those that come before the first one of the key's own name.
func (l Layers) synonyms(k *Key) []EntrySynonym {
	var all []EntrySynonym
	family := familyOf(k.Name)
	add := func(k *Key, value string, from Source) {
		s := EntrySynonym{Name: k.Name, Value: value, Source: from}
		all = append(all, s.hide(k))
	}
	for _, layer := range l.each() {
		for _, name := range family {
			if text, ok := layer.values[name]; ok {
				add(brokerIndex[name], text, layer.source)
			}
		}
	}
	for _, name := range family {
		if member := brokerIndex[name]; !member.Null {
			add(member, member.DefaultValue().String(), SourceDefault)
		}
	}
	for i, s := range all {
		if s.Name == k.Name {
			return all[i:]
		}
	}
	return nil
}

// families are the broker keys that stand in for each other, the strongest first.
var families = [][]string{
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"},
}

var familyIndex = func() map[string][]string {
	m := make(map[string][]string)
	for _, family := range families {
		for _, name := range family {
			m[name] = family
		}
	}
	return m
}()

func familyOf(name string) []string {
	if f, ok := familyIndex[name]; ok {
		return f
	}
	return []string{name}
}
