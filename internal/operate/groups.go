package operate

import (
	"cmp"
	"maps"
	"slices"

	"chronik/internal/model"
)

// groups gathers partitions with the same trouble, so that one cause makes one line.
type groups map[string][]model.TopicPartition

func newGroups() groups { return groups{} }

func (g groups) add(cause string, tp model.TopicPartition) { g[cause] = append(g[cause], tp) }

// problems words each group, in the order of causes.
func (g groups) problems(word func(cause string, parts []model.TopicPartition) Problem) []Problem {
	var out []Problem
	for _, cause := range sortedKeys(g) {
		out = append(out, word(cause, g[cause]))
	}
	return out
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
