package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// broker is one broker process with its own port and data directory.
type broker struct {
	name    string
	addr    string
	dir     string // everything of it: data, configuration, log
	data    string
	argv    []string
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	started time.Time
}

// start runs the process. It does not wait for it to be ready.
func (b *broker) start() error {
	log, err := os.OpenFile(filepath.Join(b.dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	b.cmd = exec.Command(b.argv[0], b.argv[1:]...)
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	b.started = time.Now()
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", b.name, err)
	}
	b.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(b.cmd, b.exited)
	return nil
}

func (b *broker) pid() int { return b.cmd.Process.Pid }

// listening returns once the port accepts connections.
func (b *broker) listening(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w; its log is %s", b.name, b.addr, err, filepath.Join(b.dir, "broker.log"))
		case <-b.exited:
			return fmt.Errorf("%s ended at once (%s); its log is %s", b.name, b.cmd.ProcessState, filepath.Join(b.dir, "broker.log"))
		case <-time.After(time.Millisecond):
		}
	}
}

// stop ends the process gently, then hard.
func (b *broker) stop() error {
	return b.end(syscall.SIGTERM, 30*time.Second)
}

// kill is kill -9.
func (b *broker) kill() error { return b.end(syscall.SIGKILL, 10*time.Second) }

func (b *broker) end(sig syscall.Signal, limit time.Duration) error {
	if b == nil || b.cmd == nil {
		return nil
	}
	err := b.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-b.exited:
	case <-time.After(limit):
		err = errors.Join(err, fmt.Errorf("%s did not end within %s of %s", b.name, limit, sig), b.cmd.Process.Kill())
		<-b.exited
	}
	b.cmd = nil
	return err
}

// freePort asks the kernel for a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
