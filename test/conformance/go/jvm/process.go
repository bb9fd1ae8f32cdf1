package jvm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"chronik/test/conformance/go/driver"
)

// stopLimit is how long a process may take to end after it was asked to.
const stopLimit = 30 * time.Second

// A Process is a Java program that goes on until somebody ends it.
type Process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // valid once ended is closed
}

// Start begins a process whose output, Kafka's log included, goes to a file. The end of ctx kills it.
func Start(ctx context.Context, e *driver.Env, name, class string, args ...string) (*Process, error) {
	return StartReading(ctx, e, nil, name, class, args...)
}

// StartReading is Start for a process that says on its standard output what others wait for: each line is given to line, by one goroutine, which is
// done with it before Ended is closed.
func StartReading(ctx context.Context, e *driver.Env, line func(string), name, class string, args ...string) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(e.Data, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = command(ctx, e, []string{"java/logging/*"}, class, args...)
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		log.Close()
		return nil, err
	}
	go func() {
		defer log.Close()
		lines := bufio.NewScanner(io.TeeReader(out, log))
		for lines.Scan() {
			if line != nil {
				line(lines.Text())
			}
		}
		_, _ = io.Copy(log, out) // a line too long ends the scanner, not the process
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err is for a process that ended when nobody had asked it to: it says where to look. Valid once Ended is closed.
func (p *Process) Err() error {
	return fmt.Errorf("%s ended on its own: %v; see %s", p.name, p.err, p.log)
}

// While is ctx until the process ends on its own; its error says where to look.
func (p *Process) While(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.ended:
			cancel(p.Err())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Kill ends the process with SIGKILL, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop asks the process to end, and is an error unless it does so in time, and in the way that a JVM does.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w; see %s", p.name, err, p.log)
	}
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		p.Kill()
		return fmt.Errorf("%s is still there %v after SIGTERM; see %s", p.name, stopLimit, p.log)
	}
	const terminated = 128 + int(syscall.SIGTERM)
	var exit *exec.ExitError
	if p.err != nil && !(errors.As(p.err, &exit) && exit.ExitCode() == terminated) {
		return fmt.Errorf("%s: %w; see %s", p.name, p.err, p.log)
	}
	return nil
}
