// Command protocol asks a broker over raw connections, at every version of every API that it advertises, well and badly, and compares what
// it answers with what Apache Kafka 4.3.1 answered: testdata/kafka-4.3.1.txt, which `-record` writes.
//
// One probe is one topic of conversation; its answers are one section of that file. Where Chronik means to answer otherwise, testdata/chronik.txt
// has that question again, with the reason, and either answer passes. So has testdata/cluster.txt what is different where several brokers are given,
// of which one is asked: see chooseServer.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

//go:embed testdata/kafka-4.3.1.txt
var kafkaAnswers string

//go:embed testdata/chronik.txt
var chronikAnswers string

//go:embed testdata/cluster.txt
var clusterAnswers string

var (
	record = flag.String("record", "", "write what the broker answers to this `file`, instead of comparing")
	only   = flag.String("only", "", "only the probes whose `name` begins so")
)

func main() {
	driver.Main(own, func(context.Context, *driver.Env, dataset.Topic) error {
		return fmt.Errorf("this driver reads no data sets")
	})
}

func own(e *driver.Env) {
	want, other := sections(kafkaAnswers), sections(chronikAnswers)
	server := e.Bootstrap
	if len(e.Servers()) > 1 {
		if !e.Check("choose-server", func(ctx context.Context) (err error) { server, err = chooseServer(ctx, e); return err }) {
			return
		}
		for name, answers := range sections(clusterAnswers) {
			other[name] = answers + other[name]
		}
	}
	var recorded strings.Builder
	for _, p := range probes() {
		if !strings.HasPrefix(p.name, *only) {
			continue
		}
		e.Check(p.name, func(ctx context.Context) error {
			got, err := run(ctx, e, server, p)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "== %s\n%s", p.name, got)
			if *record != "" {
				fmt.Fprintf(&recorded, "== %s\n%s", p.name, got)
				return nil
			}
			return difference(got, want[p.name], other[p.name])
		})
	}
	if *record != "" {
		if err := os.WriteFile(*record, []byte(recorded.String()), 0o644); err != nil {
			fmt.Printf("FAIL record: %v\n", err)
		}
	}
}

// sections cuts a file of answers at its "== name" lines; lines that begin with "#" are comments.
func sections(file string) map[string]string {
	out := map[string]string{}
	name := ""
	for line := range strings.Lines(file) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "== "); ok {
			name = strings.TrimSpace(rest)
			out[name] = ""
			continue
		}
		out[name] += line
	}
	return out
}

// difference says which answers are neither what Kafka said nor what is allowed instead, each with its question.
func difference(got, want, allowed string) error {
	if want == "" {
		return fmt.Errorf("there is no recorded answer of Kafka's; record one")
	}
	g, w, instead := questions(got), questions(want), questions(allowed)
	var out []string
	for _, q := range w {
		if theirs := find(g, q.text); theirs != q.answer && theirs != find(instead, q.text) {
			out = append(out, fmt.Sprintf("%s: answered %s, Kafka %s", q.text, flat(theirs), flat(q.answer)))
		}
	}
	for _, q := range g {
		if !asked(w, q.text) {
			out = append(out, fmt.Sprintf("%s: Kafka was not asked that, or has no such thing; answered %s", q.text, flat(q.answer)))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(out, "\n"))
}

type question struct{ text, answer string }

func questions(section string) []question {
	var out []question
	for line := range strings.Lines(section) {
		if rest, ok := strings.CutPrefix(line, "> "); ok {
			out = append(out, question{text: strings.TrimSpace(rest)})
		} else if len(out) > 0 {
			out[len(out)-1].answer += line
		}
	}
	return out
}

func find(all []question, text string) string {
	for _, q := range all {
		if q.text == text {
			return q.answer
		}
	}
	return ""
}

func asked(all []question, text string) bool {
	return slices.ContainsFunc(all, func(q question) bool { return q.text == text })
}

// flat is an answer in one line.
func flat(answer string) string {
	return "[" + strings.Join(strings.Fields(answer), " ") + "]"
}
