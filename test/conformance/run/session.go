package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	parallel   = 2
	stageLimit = 7 * time.Minute // for one driver's stage
)

// A tally counts checks and prints the failed ones as they come.
type tally struct {
	mu             sync.Mutex
	passed, failed int
}

func (t *tally) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed++
}

func (t *tally) fail(name, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed++
	const longest = 600 // the driver's log has it all
	fmt.Printf("FAIL %s: %s\n", name, why[:min(len(why), longest)])
}

func (t *tally) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

// A session is the drivers' work against one broker.
type session struct {
	broker  *broker
	cache   string
	records int
	tag     string // makes topic names unique on a broker that is not fresh
	tally   *tally
	broken  map[string]bool // tool chains that could not be installed

	mu      sync.Mutex
	written []written
}

type written struct{ client, topic string }

// each runs one stage of all drivers, two at a time.
func (s *session) each(ctx context.Context, drivers []driver, stage func(context.Context, driver)) {
	work := make(chan driver)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for d := range work {
				stage(ctx, d)
			}
		})
	}
	for _, d := range drivers {
		if !s.missing(d) {
			work <- d
		}
	}
	close(work)
	wg.Wait()
}

func (s *session) missing(d driver) bool {
	for _, tool := range d.needs {
		if s.broken[tool] {
			return true
		}
	}
	return false
}

func (s *session) own(ctx context.Context, d driver) {
	s.drive(ctx, d, "own")
}

// cross lets d read all data sets of the other clients.
func (s *session) cross(ctx context.Context, d driver) {
	if d.noCross {
		return
	}
	var topics []string
	for _, w := range s.written {
		if w.client != d.name {
			topics = append(topics, w.topic)
		}
	}
	if len(topics) > 0 {
		s.drive(ctx, d, "cross", "--topics", strings.Join(topics, ","))
	}
}

// alone lets d do what nobody else must be disturbed by.
func (s *session) alone(ctx context.Context, d driver) {
	if d.alone && !s.missing(d) {
		s.drive(ctx, d, "alone")
	}
}

// failover lets d go on while a node is killed, which nobody else must suffer from.
func (s *session) failover(ctx context.Context, d driver) {
	if !d.lives || s.missing(d) {
		return
	}
	s.drive(ctx, d, "failover")
	if err := s.broker.settled(ctx); err != nil {
		s.tally.fail(d.name+"/failover", err.Error())
	}
}

// drive runs one driver's process and counts its lines. A process that fails, hangs or ends early is a failed check.
func (s *session) drive(ctx context.Context, d driver, stage string, more ...string) {
	name := d.name + "/" + stage
	if ctx.Err() != nil {
		s.tally.fail(name, "not run: the broker has ended, or the time is over")
		return
	}
	log, err := os.Create(filepath.Join(s.cache, d.name+"-"+stage+".log"))
	if err != nil {
		s.tally.fail(name, err.Error())
		return
	}
	defer log.Close()
	args := append(d.command[1:len(d.command):len(d.command)], "--stage", stage, "--bootstrap", s.broker.addr,
		"--client", d.name+s.tag, "--records", strconv.Itoa(s.records), "--data", s.cache)
	ctx, cancel := context.WithTimeout(ctx, stageLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.command[0], append(args, more...)...)
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	inOwnGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.tally.fail(name, err.Error())
		return
	}
	orders, err := cmd.StdinPipe()
	if err != nil {
		s.tally.fail(name, err.Error())
		return
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		s.tally.fail(name, err.Error())
		return
	}
	passed, failed, done := s.lines(d.name, io.TeeReader(out, log), func(group string) {
		if err := s.broker.killCoordinator(ctx, group, orders); err != nil {
			s.tally.fail(name, err.Error())
		}
	})
	err = cmd.Wait()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.tally.fail(name, "did not end in time; see "+log.Name())
	case err != nil:
		s.tally.fail(name, fmt.Sprintf("%v; see %s", err, log.Name()))
	case !done:
		s.tally.fail(name, "ended before it was done; see "+log.Name())
	}
	s.tally.say("%-20s %3d ok %3d failed %6.1f s", name, passed, failed, time.Since(start).Seconds())
}

// lines reads what a driver prints: see package driver of the Go drivers for the form.
func (s *session) lines(client string, out io.Reader, kill func(group string)) (passed, failed int, done bool) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch word {
		case "ok":
			passed++
			s.tally.pass()
		case "FAIL":
			failed++
			check, why, _ := strings.Cut(rest, ": ")
			s.tally.fail(client+"/"+check, why)
		case "wrote":
			s.mu.Lock()
			s.written = append(s.written, written{client, rest})
			s.mu.Unlock()
		case "kill":
			kill(rest)
		case "done":
			done = true
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line too long ends the scanner, not the driver
	return passed, failed, done
}

// inOwnGroup makes the end of ctx end the whole process group: drivers start processes of their own.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}
