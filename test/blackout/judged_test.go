package blackout

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/verify/history"
)

var (
	who  = history.Value{Producer: 3, Seq: 1}
	ones = history.Event{Kind: history.Producing, Client: 3, Producer: &history.Producer{Acks: 1, MaxInFlight: 5}}
)

func at(s float64, e history.Event) history.Event {
	e.Time = time.Duration(s * float64(time.Second))
	return e
}

func led(s float64, node int32, epoch int64) history.Event {
	return at(s, history.Event{Kind: history.Led, Client: node, Offset: epoch})
}

// sent and acknowledged at offset 7.
func sent(s float64) []history.Event {
	return []history.Event{
		at(s, history.Event{Kind: history.Invoked, Value: who}), at(s, history.Event{Kind: history.Acked, Value: who, Offset: 7}),
	}
}

// found is the final read.
func found(offsets ...int64) []history.Event {
	var all []history.Event
	for _, o := range offsets {
		all = append(all, history.Event{Kind: history.FinalRead, Runs: []history.Run{{Offset: o, Values: []history.Value{who}}}})
	}
	return append(all, history.Event{Kind: history.FinalBounds, End: 100})
}

// TestLeaderOnlyIsJudged: what is wrong is found, and what is allowed is not.
func TestLeaderOnlyIsJudged(t *testing.T) {
	for name, tc := range map[string]struct {
		events [][]history.Event
		wrong  string // the invariant; empty: none
	}{
		"there":                                   {[][]history.Event{{led(1, 1, 0)}, sent(2), found(7)}, ""},
		"lost, one epoch":                         {[][]history.Event{{led(1, 1, 0)}, sent(2), found()}, "D2"},
		"elsewhere, one epoch":                    {[][]history.Event{{led(1, 1, 0)}, sent(2), found(8)}, "D2"},
		"twice, one epoch":                        {[][]history.Event{{led(1, 1, 0)}, sent(2), found(7, 9)}, "T1"},
		"lost, another leads":                     {[][]history.Event{{led(1, 1, 0)}, sent(2), {led(3, 2, 1)}, found()}, ""},
		"lost, another led":                       {[][]history.Event{{led(1, 1, 0)}, sent(2), {led(3, 2, 1), led(4, 1, 2)}, found()}, ""},
		"lost, another may have led":              {[][]history.Event{{led(1, 1, 0)}, sent(2), {led(4, 1, 2)}, found()}, ""},
		"lost, the leader leads again":            {[][]history.Event{{led(1, 1, 0)}, sent(2), {led(4, 1, 1)}, found()}, "D2"},
		"twice, the leader leads again":           {[][]history.Event{{led(1, 1, 0)}, sent(2), {led(4, 1, 1)}, found(7, 9)}, ""},
		"lost soon after a change":                {[][]history.Event{{led(1, 1, 0), led(3, 2, 1)}, sent(4), found()}, ""},
		"lost long after a change":                {[][]history.Event{{led(1, 1, 0), led(3, 2, 1)}, sent(5), found()}, "D2"},
		"lost long after, the leader leads again": {[][]history.Event{{led(1, 1, 0), led(3, 2, 1), led(4, 2, 2)}, sent(5), found()}, "D2"},
		"lost before a leader was heard of":       {[][]history.Event{sent(0), {led(1, 1, 0)}, found()}, ""},
		"old news of a leader":                    {[][]history.Event{{led(1, 1, 1), led(2, 2, 0)}, sent(5), found()}, "D2"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeaderOnly(2 * time.Second)
			for _, e := range slices.Concat(append([][]history.Event{{ones}}, tc.events...)...) {
				if err := l.add(&e); err != nil {
					t.Fatal(err)
				}
			}
			got := l.wrongs()
			if (got == "") != (tc.wrong == "") || !strings.HasPrefix(got, tc.wrong) {
				t.Errorf("judged %q, want %q", got, tc.wrong)
			}
		})
	}
}

// Only the loss of records with acks=1 is left to leaderOnly.
func TestOnlyLossesWithAcks1AreTolerated(t *testing.T) {
	finding := func(kind history.Kind, acks int) *history.Findings {
		return &history.Findings{Kind: kind, Note: kind.Note(), First: []*history.Violation{{Kind: kind, Writes: []history.Fact{{Acks: acks}}}}}
	}
	for _, kind := range history.Kinds() {
		for _, acks := range []int{1, -1} {
			want := !kind.Note() && (kind != history.Lost || acks != 1)
			if got := violated(finding(kind, acks)); got != want {
				t.Errorf("%s, acks=%d: %v, want %v", kind, acks, got, want)
			}
		}
	}
}

// A story that hangs ends the run, and says which it was.
func TestHangsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		hung := func(text string) { said = append(said, text) }
		watch(newPlan(7), hung)()
		time.Sleep(2 * patience)
		if len(said) != 0 {
			t.Errorf("a story that is over hangs: %q", said)
		}
		watch(newPlan(8), hung)
		time.Sleep(patience + 1)
		if len(said) != 1 || !strings.Contains(said[0], "seed 8 hangs") {
			t.Errorf("a story that hangs: %q", said)
		}
	})
}
