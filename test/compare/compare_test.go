package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runs(broker setup, metric string, values ...float64) (all []*measurement) {
	for i, v := range values {
		all = append(all, &measurement{Broker: broker, Round: i, Metrics: map[string]float64{metric: v}})
	}
	return all
}

// Ratios are taken within a round: a machine that slows down from round to round changes no ratio.
func TestRatiosAreByRound(t *testing.T) {
	o := &outcome{Ours: chronik, Other: kafka}
	o.Runs = append(runs(chronik, rate, 1, 200, 20, 2), runs(kafka, rate, 1000, 100, 10, 1)...)
	s, ok := spreadOf(o.ratios(rate))
	if !ok || s != (spread{2, 2, 2}) {
		t.Errorf("got %+v: round 0 must not count, and every other ratio is 2", s)
	}
	o.Runs = o.Runs[:len(o.Runs)-1] // the last round has no Kafka
	if got := len(o.ratios(rate)); got != 2 {
		t.Errorf("%d ratios, want 2: a round with one side does not count", got)
	}
}

func TestSpread(t *testing.T) {
	if s, _ := spreadOf([]float64{3, 1, 2}); s != (spread{2, 1, 3}) {
		t.Errorf("odd: %+v", s)
	}
	if s, _ := spreadOf([]float64{4, 1, 2, 3}); s != (spread{2.5, 1, 4}) {
		t.Errorf("even: %+v", s)
	}
	if _, ok := spreadOf(nil); ok {
		t.Error("nothing has a median")
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target target
		ratio  float64
		want   bool
	}{
		{atLeast(rate, 2), 2, true}, {atLeast(rate, 2), 1.99, false},
		{atMost(p99, 0.5), 0.5, true}, {atMost(p99, 0.5), 0.51, false}, {atMost(p99, 0.5), math.NaN(), false},
	} {
		if got := c.target.holds(c.ratio); got != c.want {
			t.Errorf("%s with %g: %t", c.target, c.ratio, got)
		}
	}
}

func TestParseJava(t *testing.T) {
	m, err := parseJava("1000000 records sent, 239005.7 records/sec (58.35 MB/sec), 426.69 ms avg latency, 737.00 ms max latency, 408 ms 50th, 674 ms 95th, 732 ms 99th, 737 ms 99.9th.\n" +
		"700000 steady state records sent, 265453.17 records/sec (64.81 MB/sec), 405.26 ms avg latency, 737.00 ms max latency, 354 ms 50th, 708 ms 95th, 733 ms 99th, 737 ms 99.9th.\n")
	if err != nil || m[rate] != 265453.17 || m[p50] != 354 || m[p99] != 733 || m[p999] != 737 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := parseJava("5 records sent, 1 records/sec"); err == nil {
		t.Error("a report without steady state passes")
	}
}

func TestPayloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "payloads")
	if err := writePayloads(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != javaPayloads {
		t.Fatalf("%d payloads", len(lines))
	}
	for _, line := range lines {
		if err := checkPayload([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if checkPayload([]byte(strings.Replace(lines[0], "A", "B", 1))) == nil || checkPayload([]byte(lines[0][1:])) == nil {
		t.Error("a damaged payload passes")
	}
}

func TestRewriteKeepsTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("above\n" + beginMarker + "\nold\n" + endMarker + "\nbelow\n")
	if err := rewrite(path, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "above\n" + beginMarker + "\nnew\n" + endMarker + "\nbelow\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	write("no markers")
	if rewrite(path, "new") == nil {
		t.Error("a page without markers was rewritten")
	}
}

func TestChoose(t *testing.T) {
	all, err := choose(settings{})
	if err != nil || len(all) != len(scenarios) {
		t.Errorf("%d scenarios, %v", len(all), err)
	}
	some, err := choose(settings{scenarios: "cold,rdkafka-*"})
	if err != nil || len(some) < 5 || some[0].name != "cold" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose(settings{scenarios: "cold,none"}); err == nil {
		t.Error("an unknown scenario passes")
	}
	short, err := choose(settings{short: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range short {
		if sc.driver != franzGo && sc.driver != cold {
			t.Errorf("%s is short, but needs more than Go", sc.name)
		}
	}
}

// What the table leaves out must be on purpose: every scenario and every target shows up in it.
func TestTableShowsEveryTarget(t *testing.T) {
	doc := &document{}
	want := 0
	for _, sc := range scenarios {
		o := &outcome{Name: sc.name, Title: sc.title, Ours: sc.ours(), Other: sc.against}
		for _, broker := range []setup{sc.ours(), sc.against} {
			m := make(map[string]float64)
			for _, name := range metricOrder {
				m[name] = 1
			}
			o.Runs = append(o.Runs, &measurement{Broker: broker, Round: 1, Metrics: m})
		}
		doc.Scenarios = append(doc.Scenarios, o)
		want += len(sc.targets)
	}
	text := table(doc)
	if got := strings.Count(text, "holds") + strings.Count(text, "FALLS SHORT"); got != want {
		t.Errorf("the table has %d verdicts, there are %d targets", got, want)
	}
	for _, sc := range scenarios {
		if !strings.Contains(text, sc.title) {
			t.Errorf("%s is not in the table", sc.name)
		}
	}
}
