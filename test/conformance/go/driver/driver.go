// Package driver is what the drivers written in Go share: flags, and the lines that the runner understands.
//
// Lines on standard output: "ok NAME", "FAIL NAME: why", "wrote TOPIC" (a data set is complete and others may read
// it), and "done" as the last one; a driver that ends without it counts as failed. "kill GROUP" is an order: see KillCoordinator. All else is log.
package driver

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"chronik/test/conformance/go/dataset"
)

// checkLimit bounds one check; a client that waits for ever must not take the others with it.
const checkLimit = 60 * time.Second

// Env is what the runner told the driver.
type Env struct {
	Bootstrap string // one broker or several, separated by commas
	Client    string // the first part of all topic names: the client, and a tag when the broker is not a fresh one
	Records   int
	Topics    []string // stage "cross": what to read
	Data      string   // a directory with what the driver needs besides the broker
}

// A Stage is what a driver does beside its own part and reading what others wrote: "failover" (go on while a coordinator is killed) or "alone" (what
// would disturb other drivers).
type Stage struct {
	Name string
	Run  func(*Env)
}

// Main parses the flags and runs one stage: own (write, read back, everything else the client can do), cross
// (read what other clients wrote, with read), or one of those that the driver has in addition.
func Main(own func(*Env), read func(context.Context, *Env, dataset.Topic) error, more ...Stage) {
	var e Env
	flag.StringVar(&e.Bootstrap, "bootstrap", "127.0.0.1:9092", "the brokers, `host:port,...`")
	flag.StringVar(&e.Client, "client", "go", "the first part of topic names")
	flag.IntVar(&e.Records, "records", 10_000, "records in each data set")
	flag.StringVar(&e.Data, "data", "", "a `directory` with what the driver needs besides the broker")
	stage := flag.String("stage", "own", "own, cross, failover or alone")
	topics := flag.String("topics", "", "cross: the topics to read, separated by commas")
	flag.Parse()
	switch *stage {
	case "cross":
		e.Topics = strings.Split(*topics, ",")
		for _, name := range e.Topics {
			e.Check("cross-read/"+name, func(ctx context.Context) error {
				t, err := dataset.Parse(name)
				if err != nil {
					return err
				}
				return read(ctx, &e, t)
			})
		}
	case "own":
		own(&e)
	default:
		for _, s := range more {
			if s.Name == *stage {
				s.Run(&e)
			}
		}
	}
	fmt.Println("done")
}

// Servers are the brokers to ask first.
func (e *Env) Servers() []string { return strings.Split(e.Bootstrap, ",") }

// Replicas asks for as many replicas as brokers give a topic by default: the runner's clusters give three.
const Replicas = -1

// Check runs one check and prints its line. It reports whether the check passed.
func (e *Env) Check(name string, check func(context.Context) error) bool {
	return e.CheckWithin(checkLimit, name, check)
}

// CheckWithin is Check for what takes longer than most: processes that start and are missed after they were killed.
func (e *Env) CheckWithin(limit time.Duration, name string, check func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				result <- fmt.Errorf("panic: %v", p)
			}
		}()
		result <- check(ctx)
	}()
	start := time.Now()
	var err error
	select {
	case err = <-result:
	case <-time.After(limit + 5*time.Second):
		err = fmt.Errorf("no answer within %v", limit)
	}
	fmt.Fprintf(os.Stderr, "%s took %v\n", name, time.Since(start).Round(time.Millisecond))
	if err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " | "))
		return false
	}
	fmt.Printf("ok %s\n", name)
	return true
}

// Wrote tells the runner that the data set is complete.
func (e *Env) Wrote(topic string) { fmt.Println("wrote " + topic) }

// Topic is the name of a topic that is no data set.
func (e *Env) Topic(purpose string) string { return "feat-" + e.Client + "-" + purpose }

// Soon repeats what looks at the effect of a change until it is there: Kafka's controller answers before its brokers know.
func Soon(look func() error) error {
	for end := time.Now().Add(10 * time.Second); ; {
		if err := look(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Want is an error unless got is what was wanted.
func Want[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// WantError is an error unless got says that it is the named Kafka error.
func WantError(got error, name string) error {
	if got == nil {
		return fmt.Errorf("succeeded, want %s", name)
	}
	if !strings.Contains(got.Error(), name) {
		return fmt.Errorf("answered %q, want %s", got, name)
	}
	return nil
}

// KillCoordinator has the runner kill the node that coordinates the group. It returns when the node is dead; back returns when the node is started again.
func KillCoordinator(group string) (back func() error, err error) {
	orders := bufio.NewReader(os.Stdin)
	answer := func(want string) error {
		got, err := orders.ReadString('\n')
		if strings.TrimSpace(got) != want {
			return fmt.Errorf("the runner said %q, want %q: %w", got, want, err)
		}
		return nil
	}
	fmt.Println("kill " + group)
	return func() error { return answer("back") }, answer("killed")
}
