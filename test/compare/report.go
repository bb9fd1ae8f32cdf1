package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"chronik/internal/bench/disk"
)

// document is the JSON file: every run of every scenario.
type document struct {
	When      time.Time  `json:"when"`
	CPUs      int        `json:"cpus"`
	Disk      disk.Info  `json:"disk"`
	Rounds    int        `json:"rounds"`
	Scenarios []*outcome `json:"scenarios"`
}

// explain prints a scenario's ratios and whether its targets hold.
func (h *harness) explain(w io.Writer, sc scenario, o *outcome) {
	for _, metric := range metricOrder {
		s, ok := spreadOf(o.ratios(metric))
		if !ok {
			continue
		}
		verdict := ""
		for _, t := range sc.targets {
			if t.metric == metric {
				verdict = fmt.Sprintf("   wants %s: %s", t, word(t.holds(s.median)))
			}
		}
		fmt.Fprintf(w, "%-16s %-24s %s / %s = %s%s\n", sc.name, metric, sc.ours(), sc.against, s, verdict)
	}
}

func word(holds bool) string {
	if holds {
		return "holds"
	}
	return "FALLS SHORT"
}

// report writes the JSON document and, if asked to, the table.
func (h *harness) report(done []*outcome) error {
	doc := document{When: time.Now().UTC(), CPUs: runtime.NumCPU(), Disk: h.disk, Rounds: h.set.rounds, Scenarios: done}
	if h.set.merge {
		old, err := load(h.set.json)
		if err != nil {
			return err
		}
		doc.Scenarios = merge(old.Scenarios, done)
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(h.set.json, append(text, '\n'), 0o644); err != nil {
		return err
	}
	if h.set.docs == "" {
		return nil
	}
	return rewrite(h.set.docs, table(&doc))
}

func load(path string) (doc document, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return doc, err
	}
	return doc, json.Unmarshal(text, &doc)
}

// merge puts new outcomes in the place of old ones, in the order of the scenarios.
func merge(old, fresh []*outcome) (all []*outcome) {
	latest := make(map[string]*outcome)
	for _, o := range append(old, fresh...) {
		latest[o.Name] = o
	}
	for _, sc := range scenarios {
		if o := latest[sc.name]; o != nil {
			all = append(all, o)
		}
	}
	return all
}

// table is the Markdown between the markers.
func table(doc *document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %d CPUs shared by client and broker; data on %s, where a 4 KiB append with fdatasync takes %s (p50).\n",
		doc.When.Format(time.DateOnly), doc.CPUs, doc.Disk.FileSystem, doc.Disk.FdatasyncP50.Round(time.Microsecond))
	b.WriteString("Medians over the rounds; ratios are Chronik / the other, median of the rounds' ratios (smallest to largest).\n\n")
	b.WriteString("| load | broker | rounds | records/s | p50 ms | p99 ms | p99.9 ms | CPU s/M | RSS MB | bytes written per byte |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	columns := []string{rate, p50, p99, p999, cpu, memory, writes}
	for _, o := range doc.Scenarios {
		if len(o.values(o.Ours, rate)) == 0 {
			continue // its figures are in the ratios below
		}
		title := o.Title
		for _, broker := range []setup{o.Ours, o.Other} {
			fmt.Fprintf(&b, "| %s | %s | %d |", title, broker, len(o.values(broker, rate)))
			title = ""
			for _, c := range columns {
				fmt.Fprintf(&b, " %s |", median(o.values(broker, c)))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n| load | ratio of | Chronik | other | ratio | target | |\n|---|---|---|---|---|---|---|\n")
	for _, o := range doc.Scenarios {
		ratioRows(&b, o)
	}
	return b.String()
}

func median(values []float64) string {
	if s, ok := spreadOf(values); ok {
		return number(s.median)
	}
	return ""
}

func ratioRows(b *strings.Builder, o *outcome) {
	var targets []target
	for _, sc := range scenarios {
		if sc.name == o.Name {
			targets = sc.targets
		}
	}
	title := o.Title
	for _, metric := range metricOrder {
		s, ok := spreadOf(o.ratios(metric))
		aim := ""
		verdict := ""
		for _, t := range targets {
			if t.metric == metric && ok {
				aim, verdict = t.String(), word(t.holds(s.median))
			}
		}
		if !ok || aim == "" && (metric == memory || metric == writes || metric == p999 || metric == p50) {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", title, metric,
			median(o.values(o.Ours, metric)), median(o.values(o.Other, metric)), s, aim, verdict)
		title = ""
	}
}

const (
	beginMarker = "<!-- compare:begin -->"
	endMarker   = "<!-- compare:end -->"
)

// rewrite replaces what stands between the markers of a file.
func rewrite(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(page), beginMarker)
	_, after, ok2 := strings.Cut(rest, endMarker)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s lacks the lines %s and %s between which the table goes", path, beginMarker, endMarker)
	}
	return os.WriteFile(path, []byte(before+beginMarker+"\n"+text+endMarker+after), 0o644)
}
