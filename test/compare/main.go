package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	scenarios string
	rounds    int
	duration  time.Duration
	warm      time.Duration
	dir       string
	docs      string
	json      string
	merge     bool
	short     bool
	list      bool
	only      string
	verbose   bool
	jars      string
}

func init() {
	// Children die with the thread that started them (Pdeathsig), so that thread must be the main one.
	runtime.LockOSThread()
}

func main() {
	var s settings
	flag.StringVar(&s.scenarios, "scenario", "", "only these, separated by commas; a trailing * matches the rest of a name")
	flag.IntVar(&s.rounds, "rounds", 5, "counted rounds per scenario")
	flag.DurationVar(&s.duration, "duration", 10*time.Second, "measured time of one run")
	flag.DurationVar(&s.warm, "warm", 30*time.Second, "load that each broker takes before its first run")
	flag.StringVar(&s.dir, "dir", ".cache/compare", "directory for data, logs and results; must be on a real disk")
	flag.StringVar(&s.docs, "docs", "", "Markdown file whose table between the compare markers is rewritten")
	flag.StringVar(&s.json, "json", "", "file for all rounds (default: results.json in -dir)")
	flag.BoolVar(&s.merge, "merge", false, "keep the rows of scenarios that are not run now")
	flag.BoolVar(&s.short, "short", false, "Chronik alone, short runs, verified: for continuous integration")
	flag.BoolVar(&s.list, "list", false, "list the scenarios")
	flag.StringVar(&s.only, "only", "", "drive one broker only: chronik or kafka")
	flag.BoolVar(&s.verbose, "v", false, "print the command of every run")
	flag.StringVar(&s.jars, "kafka-jars", "", "directory with Kafka's jars (default: fetched with mvn into .cache)")
	flag.Parse()
	if s.short {
		given := make(map[string]bool)
		flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
		if !given["duration"] {
			s.duration = 5 * time.Second
		}
		if !given["dir"] {
			s.dir = ".cache/bench"
		}
	}
	if s.json == "" {
		s.json = filepath.Join(s.dir, "results.json")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1) // everything that needs cleaning up was run and cleaned up in run
	}
}

func run(ctx context.Context, s settings) (err error) {
	chosen, err := choose(s)
	if err != nil {
		return err
	}
	if s.list {
		for _, sc := range chosen {
			fmt.Printf("%-16s %s\n", sc.name, sc.title)
		}
		return nil
	}
	h, err := newHarness(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	results, err := h.all(ctx, chosen)
	if err != nil {
		h.set.docs = "" // half a comparison is for the eye and the JSON file, not for the page
	}
	return errors.Join(err, h.report(results))
}
