package exactlyonce

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/internal/wait"
	"chronik/test/exactlyonce/loop"
)

const (
	processors         = 2
	sessionTimeout     = time.Second
	transactionTimeout = 2 * time.Second
)

// processor is one place in the pool: a process, and the next one when that has ended.
type processor struct {
	index int
	log   *os.File
	like  func(loop.Job) *exec.Cmd
	done  chan struct{} // closed when there will be no other process

	mu      sync.Mutex
	job     loop.Job
	cmd     *exec.Cmd
	names   int // transactional IDs that it has had
	killed  bool
	stopped bool
	exits   []string // why processes ended that nobody killed
}

// pool is the group's members.
type pool []*processor

// startPool starts the processors. They end with the test.
func startPool(t *testing.T, dir string, like func(loop.Job) *exec.Cmd, j loop.Job) pool {
	t.Helper()
	var out pool
	for i := range processors {
		log, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("processor-%d.log", i)), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		p := &processor{index: i, log: log, like: like, done: make(chan struct{}), job: j}
		p.job.ID = fmt.Sprintf("%s-%d", j.Group, i)
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		go p.keepAlive()
		out = append(out, p)
	}
	t.Cleanup(out.stop)
	return out
}

func (p *processor) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	p.note("the test starts %s", p.job.ID)
	p.cmd, p.killed = p.like(p.job), false
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return p.cmd.Start()
}

// keepAlive starts another process whenever one has ended, until the processor is stopped.
func (p *processor) keepAlive() {
	defer close(p.done)
	for {
		err := p.cmd.Wait()
		p.mu.Lock()
		stopped, killed := p.stopped, p.killed
		if !stopped && !killed {
			p.exits = append(p.exits, fmt.Sprintf("%v: %s", err, p.lastWords()))
		}
		p.mu.Unlock()
		if stopped {
			return
		}
		if !killed {
			_ = wait.For(context.Background(), 100*time.Millisecond)
		}
		if err := p.start(); err != nil {
			p.mu.Lock()
			p.exits = append(p.exits, err.Error())
			p.mu.Unlock()
			return
		}
	}
}

// kill ends the process with SIGKILL; the next one has the same transactional ID, or a fresh one, so that nobody but the timeout ends what was open.
func (p *processor) kill(fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fresh {
		p.names++
		p.job.ID = fmt.Sprintf("%s-%d.%d", p.job.Group, p.index, p.names)
	}
	p.killed = true
	p.note("the test sends SIGKILL")
	_ = p.cmd.Process.Kill()
}

// signal reaches the process that there is.
func (p *processor) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("the test sends %v", s)
	_ = p.cmd.Process.Signal(s)
}

// id is the transactional ID.
func (p *processor) id() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.job.ID
}

// stop kills all for good, in the middle of whatever they do.
func (all pool) stop() {
	for _, p := range all {
		p.mu.Lock()
		p.stopped = true
		_ = p.cmd.Process.Kill()
		p.mu.Unlock()
	}
	for _, p := range all {
		<-p.done
		_ = p.log.Close()
	}
}

// exits is why processors ended on their own.
func (all pool) exits() []string {
	var out []string
	for _, p := range all {
		p.mu.Lock()
		for _, why := range p.exits {
			out = append(out, fmt.Sprintf("processor %d: %s", p.index, why))
		}
		p.mu.Unlock()
	}
	return out
}

func (p *processor) note(format string, args ...any) {
	_, _ = fmt.Fprintf(p.log, "---- %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, args...))
}

// lastWords is the last line that begins with fatal, which is why a processor ended.
func (p *processor) lastWords() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	at := bytes.LastIndex(text, []byte("\nfatal: "))
	if at < 0 {
		return "without a word; see " + p.log.Name()
	}
	line, _, _ := bytes.Cut(text[at+1:], []byte("\n"))
	return string(line)
}
