package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// BrokerKeys are the keys of a broker, sorted by name. Callers must not change them.
var BrokerKeys = sorted(slices.Concat(logKeys, networkKeys, clusterKeys, groupKeys, shareKeys, streamsKeys))

var (
	topicIndex  = indexed(TopicKeys)
	brokerIndex = indexed(BrokerKeys)
	groupIndex  = indexed(GroupKeys)

	defaultValues = parsedDefaults(TopicKeys, BrokerKeys, GroupKeys)
)

func sorted(keys []Key) []Key {
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	return keys
}

func indexed(keys []Key) map[string]*Key {
	m := make(map[string]*Key, len(keys))
	for i := range keys {
		m[keys[i].Name] = &keys[i]
	}
	return m
}

// parsedDefaults parses every default once. A bad row is a mistake in this package.
func parsedDefaults(tables ...[]Key) map[*Key]Value {
	m := make(map[*Key]Value)
	for _, keys := range tables {
		for i := range keys {
			k := &keys[i]
			if k.Null {
				continue
			}
			v, err := k.Parse(k.Default)
			if err != nil {
				panic(fmt.Sprintf("config: the table's own default is refused: %v", err))
			}
			m[k] = v
		}
	}
	return m
}

// Lookup returns the row of a key, or an *UnknownKeyError.
func Lookup(scope Scope, name string) (*Key, error) {
	index := [...]map[string]*Key{ScopeTopic: topicIndex, ScopeBroker: brokerIndex, ScopeGroup: groupIndex}[scope]
	if k, ok := index[name]; ok {
		return k, nil
	}
	return nil, &UnknownKeyError{Scope: scope, Name: name, Similar: similar(name, index)}
}

// DefaultValue returns the parsed default, null if the key has none.
func (k *Key) DefaultValue() Value { return defaultValues[k] }

// Validate checks one value of one key. The error is an *UnknownKeyError or an *InvalidValueError.
func Validate(scope Scope, name, value string) error {
	k, err := Lookup(scope, name)
	if err != nil {
		return err
	}
	_, err = k.Parse(value)
	return err
}

// similar returns the known name closest to a misspelt one, or "" if none is close.
func similar[T any](name string, known map[string]T) string {
	best, bestAt := "", 1+len(name)/5 // one slip in five characters, one at least
	for k := range known {
		d := distance(strings.ToLower(name), k)
		if d < bestAt || d == bestAt && (best == "" || k < best) {
			best, bestAt = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
