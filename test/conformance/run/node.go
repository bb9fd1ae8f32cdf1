package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// A node is a broker's process.
type node struct {
	name, addr, logPath string

	like  *exec.Cmd // never started: what each process of this node is made from
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of the process; valid once ended is closed
}

// newNode has the log of another run removed.
func newNode(name string, cmd *exec.Cmd, port, logPath string) *node {
	_ = os.Remove(logPath)
	return &node{name: name, addr: "127.0.0.1:" + port, logPath: logPath, like: cmd}
}

// start begins a process, also after the one before has ended: its log goes on.
func (n *node) start() error {
	log, err := os.OpenFile(n.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	n.cmd, n.ended = exec.Command(n.like.Path, n.like.Args[1:]...), make(chan struct{})
	n.cmd.Env, n.cmd.Stdout, n.cmd.Stderr = n.like.Env, log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal ends the drivers first
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("%w; `make build` makes bin/chronik-server", err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		n.err = cmd.Wait()
		close(ended)
	}(n.cmd, n.ended)
	return nil
}

// await returns when the node listens for clients.
func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		if c, err := net.Dial("tcp", n.addr); err == nil {
			return c.Close()
		}
		select {
		case <-retry.C:
		case <-n.ended:
			return fmt.Errorf("%s ended at once: %v; see %s", n.name, n.err, n.logPath)
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s after %v; see %s", n.name, n.addr, startLimit, n.logPath)
		}
	}
}

func (n *node) alive() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// kill ends a process that was started, if any.
func (n *node) kill() {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
}

func (n *node) stop(t *tally) {
	if !n.alive() {
		t.fail("broker/alive", fmt.Sprintf("%s ended on its own: %v; see %s", n.name, n.err, n.logPath))
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(stopLimit):
		n.kill()
		t.fail("broker/stop", fmt.Sprintf("%s is still there %v after SIGTERM", n.name, stopLimit))
		return
	}
	var exit *exec.ExitError
	const jvmTerminated = 128 + int(syscall.SIGTERM)
	if n.err != nil && !(errors.As(n.err, &exit) && exit.ExitCode() == jvmTerminated) {
		t.fail("broker/stop", fmt.Sprintf("%s: %v; see %s", n.name, n.err, n.logPath))
		return
	}
	t.pass()
}
