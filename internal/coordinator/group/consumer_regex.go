package group

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
)

// matchPause is between two times that a group's patterns are matched because topics have come or gone.
const matchPause = 10 * time.Second

// compile reads a pattern, which is to match a topic's whole name. Go's regular expressions are RE2, as KIP-848 has it.
func compile(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidRegex, err)
	}
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`), nil
}

// matching are the names of the topics that a pattern matches, in order.
func (m *Machine) matching(re *regexp.Regexp) []string {
	var out []string
	for t := range m.image.Topics() {
		if re.MatchString(t.Name) {
			out = append(out, t.Name)
		}
	}
	slices.Sort(out)
	return out
}

// due tells whether a group's patterns are to be matched again.
func (c *consumer) due(d *decision) bool {
	if c.patterns.Len() == 0 {
		return false
	}
	since := d.now.Sub(c.matchAt)
	return c.matched != d.m.topics && since >= matchPause || since >= d.m.Config.Consumer.regexRefresh()
}

// match finds out which topics the group's patterns stand for: of one that is new at once, of the others now and then, and whenever
// topics have come or gone. A pattern that nobody has any more is forgotten.
func (s *step) match() error {
	fresh := plain(s.regex())
	if fresh == "" && s.c.patterns.Len() == 0 {
		return nil
	}
	used := s.after().patterns
	all := slices.Sorted(maps.Keys(used))
	due := s.c.due(s.d) || s.c.patterns.Len() == 0
	for _, p := range all {
		old, known := s.c.patterns.Get(p)
		if known && !due {
			continue
		}
		re, err := compile(p)
		if err != nil && p == fresh {
			return err
		}
		var topics []string
		if err == nil {
			topics = s.d.m.matching(re)
		}
		if known && slices.Equal(old.Topics, topics) {
			continue
		}
		s.bump = true
		s.matched[p] = topics
		s.record(patternRecord(s.g.id, p, &schema.ConsumerGroupPattern{
			Topics: topics, Version: int64(s.d.m.image.Index()), Timestamp: s.d.now.UnixMilli(),
		}))
	}
	var unused []string
	for p := range s.c.patterns.All() {
		if used[p] == 0 {
			unused = append(unused, p)
		}
	}
	slices.Sort(unused)
	for _, p := range unused {
		s.record(patternRecord(s.g.id, p, nil))
	}
	if due {
		s.later(func() { s.c.matched, s.c.matchAt = s.d.m.topics, s.d.now })
	}
	return nil
}

func (s *step) regex() *string {
	if s.member == nil {
		return nil
	}
	return s.member.SubscribedTopicRegex
}

// pattern is what a pattern stands for.
func (s *step) pattern(p string) []string {
	if topics, ok := s.matched[p]; ok {
		return topics
	}
	if v, ok := s.c.patterns.Get(p); ok {
		return v.Topics
	}
	return nil
}
