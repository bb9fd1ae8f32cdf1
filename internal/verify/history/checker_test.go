package history_test

import (
	"strings"
	"testing"
	"time"

	"chronik/internal/verify/history"
)

// cases are histories that violate one thing, and their twins that do not: minus in front of a line, only the violating one; plus, only the twin.
var cases = []struct {
	name    string
	kind    history.Kind
	history string
}{
	{"acknowledged, the log ends before it", history.Lost, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":20,"e":"acked","v":"0/1","o":0}
		- {"t":90,"e":"final-bounds","end":0}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		+ {"t":91,"e":"final-bounds","end":1}`},
	{"acknowledged, another stands there, the leader has not changed", history.Lost, `
		  {"t":1,"e":"led","c":1}
		  {"t":10,"e":"invoked","v":"2/1"}
		  {"t":11,"e":"invoked","v":"0/1"}
		  {"t":20,"e":"acked","v":"2/1","o":0}
		+ {"t":25,"e":"led","c":2,"o":1}
		  {"t":30,"e":"acked","v":"0/1","o":0}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"below the start of the log it may be deleted", history.Lost, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"0/2"}
		  {"t":20,"e":"acked","v":"0/1","o":0}
		  {"t":21,"e":"acked","v":"0/2","o":1}
		  {"t":90,"e":"final-read","r":[{"o":1,"v":["0/2"]}]}
		- {"t":91,"e":"final-bounds","start":0,"end":2}
		+ {"t":91,"e":"final-bounds","start":1,"end":2}`},
	{"of unknown outcome, shown and gone", history.Vanished, `
		  {"t":10,"e":"invoked","v":"0/1"}
		- {"t":20,"e":"polled","r":[{"o":0,"v":["0/1"]}]}
		  {"t":30,"e":"unknown","v":"0/1"}
		  {"t":91,"e":"final-bounds","end":0}`},
	{"a retry is stored twice", history.Duplicated, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"1/1"}
		- {"t":20,"e":"polled","r":[{"o":0,"v":["0/1","0/1"]}]}
		+ {"t":20,"e":"polled","r":[{"o":0,"v":["1/1","1/1"]}]}
		- {"t":30,"e":"acked","v":"0/1","o":1}
		+ {"t":30,"e":"acked","v":"1/1","o":1}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","0/1"]}]}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["1/1","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"sent once, stored twice", history.Duplicated, `
		  {"t":10,"e":"invoked","v":"4/1"}
		  {"t":11,"e":"invoked","v":"1/1"}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["4/1","4/1"]}]}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["4/1","1/1","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":3}`},
	{"two consumers, two records at one offset", history.Inconsistent, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"polled","c":0,"r":[{"o":0,"v":["0/1"]}]}
		- {"t":21,"e":"polled","c":1,"r":[{"o":0,"v":["1/1"]}]}
		+ {"t":21,"e":"polled","c":1,"r":[{"o":0,"v":["0/1","1/1"]}]}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"one offset acknowledged twice", history.Inconsistent, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"acked","v":"0/1","o":0}
		- {"t":21,"e":"acked","v":"1/1","o":0}
		+ {"t":21,"e":"acked","v":"1/1","o":1}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"shown, then acknowledged for another", history.Inconsistent, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"polled","r":[{"o":0,"v":["0/1"]}]}
		- {"t":21,"e":"acked","v":"1/1","o":0}
		+ {"t":21,"e":"acked","v":"0/1","o":0}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","1/1"]}]}
		+ {"t":91,"e":"final-bounds","end":1}
		- {"t":91,"e":"final-bounds","end":2}`},
	{"acknowledged elsewhere than it stands", history.Inconsistent, `
		  {"t":10,"e":"invoked","v":"0/1"}
		- {"t":20,"e":"acked","v":"0/1","o":7}
		+ {"t":20,"e":"acked","v":"0/1","o":0}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":8}`},
	{"in another partition", history.Inconsistent, `
		- {"t":10,"e":"invoked","v":"0/1","p":1}
		+ {"t":10,"e":"invoked","v":"0/1"}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}
		  {"t":92,"e":"final-bounds","p":1}`},
	{"below what was there before", history.Inconsistent, `
		  {"t":1,"e":"opened","start":0,"end":5}
		  {"t":10,"e":"invoked","v":"0/1"}
		- {"t":20,"e":"acked","v":"0/1","o":4}
		+ {"t":20,"e":"acked","v":"0/1","o":5}
		  {"t":90,"e":"final-read","r":[{"o":5,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":6}`},
	{"a producer's order", history.Reordered, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"0/2"}
		- {"t":20,"e":"acked","v":"0/2","o":0}
		- {"t":21,"e":"acked","v":"0/1","o":1}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["0/2","0/1"]}]}
		+ {"t":20,"e":"acked","v":"0/1","o":0}
		+ {"t":21,"e":"acked","v":"0/2","o":1}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","0/2"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"a plain producer with several requests in flight promises no order", history.Reordered, `
		- {"t":10,"e":"invoked","v":"3/1"}
		- {"t":11,"e":"invoked","v":"3/2"}
		- {"t":20,"e":"acked","v":"3/2","o":0}
		- {"t":21,"e":"acked","v":"3/1","o":1}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["3/2","3/1"]}]}
		+ {"t":10,"e":"invoked","v":"1/1"}
		+ {"t":11,"e":"invoked","v":"1/2"}
		+ {"t":20,"e":"acked","v":"1/2","o":0}
		+ {"t":21,"e":"acked","v":"1/1","o":1}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["1/2","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"a poll jumps over a record", history.Skipped, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"0/2"}
		  {"t":20,"e":"acked","v":"0/1","o":0}
		  {"t":21,"e":"acked","v":"0/2","o":1}
		  {"t":30,"e":"positioned","o":0}
		- {"t":40,"e":"polled","r":[{"o":1,"v":["0/2"]}]}
		+ {"t":40,"e":"polled","start":1,"r":[{"o":1,"v":["0/2"]}]}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","0/2"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"a poll jumps over nothing", history.Skipped, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":11,"e":"invoked","v":"0/2"}
		  {"t":12,"e":"invoked","v":"0/3"}
		  {"t":40,"e":"polled","r":[{"o":0,"v":["0/1"]},{"o":2,"v":["0/3"]}]}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1","0/2","0/3"]}]}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]},{"o":2,"v":["0/3"]}]}
		  {"t":91,"e":"final-bounds","end":3}`},
	{"shown again", history.WentBack, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":20,"e":"polled","r":[{"o":0,"v":["0/1"]}]}
		+ {"t":30,"e":"positioned","o":0}
		  {"t":40,"e":"polled","o":1,"r":[{"o":0,"v":["0/1"]}]}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"the end moves back", history.Rewound, `
		  {"t":10,"e":"listed","c":5,"end":3}
		- {"t":20,"e":"listed","c":5,"end":2}
		+ {"t":20,"e":"listed","c":5,"end":3}
		  {"t":91,"e":"final-bounds","end":3}`},
	{"no such offset", history.Rewound, `
		  {"t":10,"e":"positioned","o":3}
		- {"t":20,"e":"out-of-range","o":3}
		+ {"t":20,"e":"out-of-range","o":3,"start":5}
		  {"t":91,"e":"final-bounds","start":5,"end":5}`},
	{"the client finds the log cut", history.Rewound, `
		  {"t":10,"e":"positioned","o":3}
		- {"t":20,"e":"truncated","o":3,"end":2}
		  {"t":91,"e":"final-bounds","end":3}`},
	{"refused and stored", history.Ghost, `
		  {"t":10,"e":"invoked","v":"0/1"}
		- {"t":20,"e":"failed","v":"0/1"}
		+ {"t":20,"e":"unknown","v":"0/1"}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"shown and then refused", history.Ghost, `
		  {"t":10,"e":"invoked","v":"0/1"}
		  {"t":15,"e":"polled","r":[{"o":0,"v":["0/1"]}]}
		- {"t":20,"e":"failed","v":"0/1"}
		+ {"t":20,"e":"unknown","v":"0/1"}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"never sent", history.Ghost, `
		+ {"t":10,"e":"invoked","v":"0/1"}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"bytes changed", history.Damaged, `
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["corrupt"]}]}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["foreign"]}]}
		  {"t":91,"e":"final-bounds","end":1}`},
	{"sent after the other was acknowledged", history.RealTime, `
		  {"t":10,"e":"invoked","v":"0/1"}
		+ {"t":15,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"acked","v":"0/1","o":1}
		- {"t":30,"e":"invoked","v":"1/1"}
		  {"t":40,"e":"acked","v":"1/1","o":0}
		  {"t":90,"e":"final-read","r":[{"o":0,"v":["1/1","0/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"two plain records at one place, the leader changed", history.LostByLeader, `
		  {"t":1,"e":"led","c":1}
		  {"t":10,"e":"invoked","v":"2/1"}
		  {"t":11,"e":"invoked","v":"2/2"}
		  {"t":20,"e":"acked","v":"2/1","o":0}
		- {"t":25,"e":"led","c":2,"o":1}
		- {"t":30,"e":"acked","v":"2/2","o":0}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["2/2"]}]}
		- {"t":91,"e":"final-bounds","end":1}
		+ {"t":30,"e":"acked","v":"2/2","o":1}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["2/1","2/2"]}]}
		+ {"t":91,"e":"final-bounds","end":2}`},
	{"the same node leads again, and perhaps another one has led between", history.LostByLeader, `
		  {"t":1,"e":"led","c":1}
		  {"t":10,"e":"invoked","v":"2/1"}
		  {"t":20,"e":"acked","v":"2/1","o":0}
		  {"t":25,"e":"led","c":1,"o":2}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["2/1"]}]}
		+ {"t":91,"e":"final-bounds","end":1}
		- {"t":91,"e":"final-bounds","end":0}`},
	{"the same node leads again, and nobody has led between", history.Lost, `
		  {"t":1,"e":"led","c":1}
		  {"t":10,"e":"invoked","v":"2/1"}
		  {"t":20,"e":"acked","v":"2/1","o":0}
		  {"t":22,"e":"led","c":-1,"o":1}
		  {"t":25,"e":"led","c":1,"o":2}
		  {"t":26,"e":"led","c":2}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["2/1"]}]}
		+ {"t":91,"e":"final-bounds","end":1}
		- {"t":91,"e":"final-bounds","end":0}`},
	{"a plain record that a consumer was shown, the leader changed", history.Lost, `
		  {"t":1,"e":"led","c":1}
		  {"t":10,"e":"invoked","v":"2/1"}
		  {"t":20,"e":"acked","v":"2/1","o":0}
		- {"t":21,"e":"polled","r":[{"o":0,"v":["2/1"]}]}
		  {"t":25,"e":"led","c":2,"o":1}
		  {"t":91,"e":"final-bounds","end":0}`},
	{"a retry of a plain producer", history.RetriedTwice, `
		  {"t":10,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"acked","v":"1/1","o":1}
		- {"t":90,"e":"final-read","r":[{"o":0,"v":["1/1","1/1"]}]}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["foreign","1/1"]}]}
		  {"t":91,"e":"final-bounds","end":2}`},
	{"below the start of the log", history.Expired, `
		  {"t":10,"e":"invoked","v":"1/1"}
		  {"t":20,"e":"acked","v":"1/1","o":0}
		+ {"t":90,"e":"final-read","r":[{"o":0,"v":["1/1"]}]}
		- {"t":91,"e":"final-bounds","start":1,"end":1}
		+ {"t":91,"e":"final-bounds","end":1}`},
	{"a watermark falls", history.WatermarkFell, `
		  {"t":10,"e":"polled","end":5}
		- {"t":20,"e":"polled","end":4}
		+ {"t":20,"e":"polled","end":-1}
		  {"t":30,"e":"polled","end":5}
		  {"t":91,"e":"final-bounds","end":5}`},
}

// producers are what the cases refer to: 0 idempotent, 1 plain, 2 acks=1, 3 plain with one request in flight, 4 plain without retries.
const producers = `{"t":0,"e":"producing","c":0,"producer":{"acks":-1,"idempotent":true,"max_in_flight":5}}
{"t":0,"e":"producing","c":1,"producer":{"acks":-1,"idempotent":false,"max_in_flight":5}}
{"t":0,"e":"producing","c":2,"producer":{"acks":1,"idempotent":false,"max_in_flight":5}}
{"t":0,"e":"producing","c":3,"producer":{"acks":-1,"idempotent":false,"max_in_flight":1}}
{"t":0,"e":"producing","c":4,"producer":{"acks":-1,"idempotent":false,"max_in_flight":5,"once":true}}
`

// part is one of the two histories of a case.
func part(text string, sign byte) string {
	var b strings.Builder
	b.WriteString(producers)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line[0] == '{':
			b.WriteString(line + "\n")
		case line[0] == sign:
			b.WriteString(line[1:] + "\n")
		}
	}
	return b.String()
}

func judge(t *testing.T, text string) *history.Verdict {
	t.Helper()
	c := history.NewChecker(history.Options{})
	if err := history.Read(strings.NewReader(text), c.Add); err != nil {
		t.Fatal(err)
	}
	v, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestKinds(t *testing.T) {
	tested := make(map[history.Kind]bool)
	for _, c := range cases {
		tested[c.kind] = true
		t.Run(string(c.kind)+"/"+c.name, func(t *testing.T) {
			v := judge(t, part(c.history, '-'))
			if v.Count(c.kind) == 0 {
				t.Errorf("not found; found: %s", list(v))
			}
			if v.OK() != c.kind.Note() {
				t.Errorf("OK() is %v; found: %s", v.OK(), list(v))
			}
			if v := judge(t, part(c.history, '+')); v.Count(c.kind) != 0 || !v.OK() {
				t.Errorf("the twin is taken for a violation: %s", list(v))
			}
		})
	}
	for _, k := range history.Kinds() {
		if !tested[k] || k.Meaning() == "" {
			t.Errorf("%s has no case, or no meaning", k)
		}
	}
}

func list(v *history.Verdict) string {
	var b strings.Builder
	for _, f := range v.Findings {
		for _, violation := range f.First {
			b.WriteString("\n" + string(f.Kind) + ": " + violation.String())
		}
	}
	return b.String() + strings.Join(v.Unfinished, "\n")
}

// TestUnfinished: what was not read to its end is not OK, and nothing there counts as lost.
func TestUnfinished(t *testing.T) {
	v := judge(t, producers+`{"t":1,"e":"invoked","v":"0/1"}
{"t":2,"e":"acked","v":"0/1","o":0}`)
	if v.OK() || len(v.Unfinished) != 1 || len(v.Findings) != 0 {
		t.Errorf("OK %v, unfinished %q, found %s", v.OK(), v.Unfinished, list(v))
	}
}

// TestImpossible: a history that cannot have happened is refused, not judged.
func TestImpossible(t *testing.T) {
	for name, text := range map[string]string{
		"an outcome without invocation": `{"e":"acked","v":"0/1"}`,
		"two outcomes":                  `{"e":"invoked","v":"0/1"}` + "\n" + `{"e":"acked","v":"0/1"}` + "\n" + `{"e":"failed","v":"0/1"}`,
		"invoked twice":                 `{"e":"invoked","v":"0/1"}` + "\n" + `{"e":"invoked","v":"0/1"}`,
		"another partition":             `{"e":"invoked","v":"0/1"}` + "\n" + `{"e":"acked","v":"0/1","p":1}`,
		"no such producer":              `{"e":"invoked","v":"9/1"}`,
		"no sequence":                   `{"e":"invoked","v":"0/0"}`,
		"no such kind":                  `{"e":"guessed"}`,
		"no such field":                 `{"e":"led","colour":1}`,
		"a negative offset":             `{"e":"positioned","o":-2}`,
		"a negative run":                `{"e":"polled","r":[{"o":-2,"v":["0/1"]}]}`,
		"acks=0":                        `{"e":"producing","c":7,"producer":{"acks":0}}`,
	} {
		c := history.NewChecker(history.Options{})
		if err := history.Read(strings.NewReader(producers+text), c.Add); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestGap(t *testing.T) {
	c := history.NewChecker(history.Options{})
	add := func(e history.Event) {
		t.Helper()
		if err := c.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	add(history.Event{Kind: history.Producing, Producer: &history.Producer{Acks: -1}})
	const ms = time.Millisecond
	for i, at := range []time.Duration{100 * ms, 105 * ms, 200 * ms, 203 * ms, 1100 * ms, 1103 * ms} {
		v := history.Value{Seq: int64(i + 1)}
		add(history.Event{Time: at, Kind: history.Invoked, Value: v})
		add(history.Event{Time: at, Kind: history.Acked, Value: v, Offset: int64(i)})
	}
	for _, q := range []struct{ since, from, to time.Duration }{
		{102 * ms, 105 * ms, 200 * ms},    // the gap after a reply that was under way
		{150 * ms, 203 * ms, 1100 * ms},   // the long one begins within 100 ms
		{300 * ms, 203 * ms, 1100 * ms},   // in the middle
		{1101 * ms, 1103 * ms, 2000 * ms}, // open
	} {
		within := 100 * ms
		if q.since == 102*ms {
			within = 50 * ms
		}
		g, last, ok := c.Gap(0, q.since, within, 2000*ms)
		if !ok || g.From != q.from || g.To != q.to || g.Open != (q.to == 2000*ms) || last != 1103*ms {
			t.Errorf("since %v: %+v, last %v, %v; want %v to %v", q.since, g, last, ok, q.from, q.to)
		}
	}
	add(history.Event{Time: 1200 * ms, Kind: history.Invoked, Partition: 1, Value: history.Value{Seq: 7}})
	add(history.Event{Time: 1500 * ms, Kind: history.Acked, Partition: 1, Value: history.Value{Seq: 7}})
	if g, _, ok := c.Gap(1, 1300*ms, 50*ms, 1504*ms); !ok || g.From != 1200*ms || g.To != 1500*ms {
		t.Errorf("before the first acknowledgement: %+v, %v", g, ok)
	}
	if g, _, ok := c.Gap(0, 1101*ms, 50*ms, 1104*ms); !ok || g.Length() != 0 {
		t.Errorf("where acknowledgements are close together: %+v, %v", g, ok)
	}
	if _, _, ok := c.Gap(2, 0, 0, 0); ok {
		t.Error("a gap where nothing was ever sent")
	}
}
