package quorum

import (
	"errors"
	"strings"
	"testing"
	"time"

	"chronik/internal/metadata/image"
)

// TestSupersede: a voter whose directory was replaced makes room for the new one when it is silent for long enough, and not before; then
// the new one votes.
func TestSupersede(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		l := nodes[0]
		fresh := Replica{Node: 3, Directory: image.UUID{15: 99}}
		refused := func(by Replica, why string) {
			t.Helper()
			if err := l.Supersede(t.Context(), by); !errors.Is(err, ErrMembership) || !strings.Contains(err.Error(), why) {
				t.Errorf("%v, want ErrMembership with %q", err, why)
			}
		}
		pass(lostTicks * TickInterval)
		refused(fresh, "was heard")
		refused(Replica{Node: 1, Directory: fresh.Directory}, "leads")
		for _, nobody := range []Replica{nodes[2].self, {Node: 4, Directory: fresh.Directory}} {
			if err := l.Supersede(t.Context(), nobody); err != nil {
				t.Errorf("%s: %v", nobody, err)
			}
		}
		nodes[2].close()
		refused(fresh, "was heard")
		pass(lostTicks*TickInterval + time.Second)
		if err := l.TransferTo(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if err := l.Supersede(t.Context(), fresh); !errors.Is(err, ErrNotController) {
			t.Errorf("on another node than the controller: %v", err)
		}
		l = w.leader(nodes[1])
		refused(fresh, "leader is new")
		pass(lostTicks * TickInterval)
		if err := l.Supersede(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		if err := l.Supersede(t.Context(), fresh); err != nil {
			t.Errorf("again: %v", err)
		}
		nodes[2] = w.box(3, nil)
		nodes[2].self = fresh
		nodes[2].open(false)
		if err := l.Admit(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		nodes[0].close()
		if err := w.leader(nodes[1:]...).set("with the new one"); err != nil {
			t.Error(err)
		}
	})
}

// TestSpare: a voter may go only if those that are left can do all that it takes, with it and without it.
func TestSpare(t *testing.T) {
	const commit = 1000
	now := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		others string // A alive, D dead, B alive and far behind
		ok     bool
	}{
		"the only one left":             {"A", false},
		"two of three":                  {"AA", true},
		"one of three is dead, too":     {"AD", false},
		"one of three is behind":        {"AB", false},
		"four":                          {"AAA", true},
		"four, one dead":                {"AAD", false},
		"five":                          {"AAAA", true},
		"five, one dead":                {"AAAD", true},
		"five, one behind":              {"AABA", true},
		"five, one dead and one behind": {"ADAB", false},
	} {
		lost := Replica{Node: 100}
		s := Status{HighWatermark: commit, Voters: []ReplicaStatus{{Replica: lost, LogEnd: commit}}}
		for i, kind := range c.others {
			v := ReplicaStatus{Replica: Replica{Node: lost.Node + 1}, LastFetch: now.Add(-TickInterval), LogEnd: commit - catchUpEntries}
			v.Directory[0] = byte(i)
			switch kind {
			case 'D':
				v.LastFetch = now.Add(-time.Minute)
			case 'B':
				v.LogEnd--
			}
			s.Voters = append(s.Voters, v)
		}
		if err := s.spare(lost, now); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMembership) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
