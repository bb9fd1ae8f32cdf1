package streams

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"chronik/internal/coordinator/schema"
)

// plan is a topology whose internal topics get their numbers of partitions.
type plan struct {
	md            Metadata
	subtopologies []planned // by ID
	fixed         map[string]int32
	decided       map[string]int32 // of repartition topics
	mismatch      string           // topics that must be partitioned alike and are not
}

// planned is a subtopology with what its patterns match.
type planned struct {
	*schema.Subtopology
	external []string   // topics of others that it reads
	matched  [][]string // by pattern
	sources  []string   // all that it reads, by name
}

func newPlan(t *schema.StreamsTopology, md Metadata) (*plan, error) {
	p := &plan{md: md, fixed: make(map[string]int32), decided: make(map[string]int32)}
	for i := range t.Subtopologies {
		s := planned{Subtopology: &t.Subtopologies[i]}
		own := make(map[string]bool)
		for _, r := range s.RepartitionSourceTopics {
			if own[r.Name] = true; r.Partitions > 0 {
				p.fixed[r.Name] = r.Partitions
			}
		}
		for _, pattern := range s.SourceTopicRegex {
			re, err := compile(pattern)
			if err != nil {
				return nil, invalid("%v", err)
			}
			var names []string
			for name := range md.Topics() {
				if re.MatchString(name) && !own[name] {
					names = append(names, name)
				}
			}
			s.matched = append(s.matched, names)
		}
		read := make(map[string]bool)
		for _, name := range slices.Concat(append(s.matched, s.SourceTopics)...) {
			read[name] = !own[name]
		}
		maps.DeleteFunc(read, func(_ string, external bool) bool { return !external })
		s.external = sorted(read)
		maps.Copy(read, own)
		s.sources = sorted(read)
		p.subtopologies = append(p.subtopologies, s)
	}
	slices.SortFunc(p.subtopologies, func(a, b planned) int { return cmp.Compare(a.SubtopologyID, b.SubtopologyID) })
	maps.Copy(p.decided, p.fixed)
	return p, nil
}

// missingSources are topics of others that are not there, and subtopologies whose patterns match nothing.
func (p *plan) missingSources() []string {
	missing := make(map[string]bool)
	for _, s := range p.subtopologies {
		for _, name := range s.external {
			if _, ok := p.md.Partitions(name); !ok {
				missing[name] = true
			}
		}
		if len(s.sources) == 0 {
			missing[s.SourceTopicRegex[0]] = true
		}
	}
	return sorted(missing)
}

// count is how many partitions a topic has or is to have.
func (p *plan) count(topic string) (int32, bool) {
	if n, ok := p.md.Partitions(topic); ok {
		return n, true
	}
	n, ok := p.decided[topic]
	return n, ok
}

// decide gives repartition topics their numbers: as many as the subtopology that writes them has tasks, unless they are to be
// partitioned like others.
func (p *plan) decide() error {
	for strict := true; ; {
		left, progress := p.round(strict)
		switch {
		case len(left) == 0:
			p.copartition()
			return nil
		case progress:
			strict = true
		case strict:
			strict = false // a subtopology that reads what it writes goes by its other sources
		default:
			return invalid("the numbers of partitions of repartition topics %s depend on each other: give one of them a number", summary(left))
		}
	}
}

// round decides what subtopologies write whose sources are all known, or else one topic of a subtopology some of whose sources are.
func (p *plan) round(strict bool) (left []string, progress bool) {
	open := make(map[string]bool)
	for _, s := range p.subtopologies {
		n, known := int32(0), true
		for _, source := range s.external {
			have, _ := p.count(source)
			n = max(n, have)
		}
		for _, r := range s.RepartitionSourceTopics {
			have, ok := p.decided[r.Name]
			n, known = max(n, have), known && ok
		}
		for _, sink := range s.RepartitionSinkTopics {
			switch {
			case p.decided[sink] > 0:
			case n > 0 && known, n > 0 && !strict && !progress:
				p.decided[sink], progress = n, true
			default:
				open[sink] = true
			}
		}
	}
	maps.DeleteFunc(open, func(name string, _ bool) bool { return p.decided[name] > 0 })
	return sorted(open), progress
}

// copartition gives topics that are read together the same number of partitions, as far as that is free.
func (p *plan) copartition() {
	for _, s := range p.subtopologies {
		for _, g := range s.CopartitionGroups {
			p.align(s, g)
		}
	}
}

func (p *plan) align(s planned, g schema.CopartitionGroup) {
	given, flexible := make(map[string]int32), make(map[string]bool)
	add := func(topic string) {
		if n, ok := p.md.Partitions(topic); ok {
			given[topic] = n
		}
	}
	for _, at := range g.SourceTopics {
		if name := s.SourceTopics[at]; slices.Contains(s.external, name) {
			add(name)
		}
	}
	for _, at := range g.SourceTopicRegex {
		for _, name := range s.matched[at] {
			add(name)
		}
	}
	most := int32(0)
	for _, at := range g.RepartitionSourceTopics {
		name := s.RepartitionSourceTopics[at].Name
		if n, ok := p.fixed[name]; ok {
			given[name] = n
		} else {
			flexible[name] = true
			most = max(most, p.decided[name])
		}
	}
	n := most // if all are free, the largest
	for i, name := range sorted(given) {
		if i == 0 {
			n = given[name]
		} else if given[name] != n && p.mismatch == "" {
			p.mismatch = fmt.Sprintf("Topics that subtopology %s reads together have different numbers of partitions: %s.", s.SubtopologyID, counts(given))
		}
	}
	for name := range flexible {
		p.decided[name] = n
	}
}

// tasks is how many tasks a subtopology has: as its largest source has partitions.
func (p *plan) tasks(s planned) int32 {
	n := int32(0)
	for _, name := range s.sources {
		have, _ := p.count(name)
		n = max(n, have)
	}
	return n
}

func counts(given map[string]int32) string {
	var out []string
	for _, name := range sorted(given) {
		out = append(out, fmt.Sprintf("%s has %d", name, given[name]))
	}
	return summary(out)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
