// Package process runs a real chronik-server for tests: built once, on ports of its own, over a real
// directory, killed by process ID. It is for what only a process can show: kill -9, system calls, memory.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build makes the server's binary once for all tests of a package.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "chronik-server-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "chronik-server")
	out, err := exec.Command("go", "build", "-o", bin, "chronik/cmd/chronik-server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// Broker is a running, or killed, server over one data directory.
type Broker struct {
	DataDir   string
	KafkaAddr string
	HTTPAddr  string

	t     testing.TB
	bin   string
	args  []string
	wrap  []string
	cmd   *exec.Cmd
	ended chan error
	log   *tail
}

// Option changes how the server is started.
type Option func(*Broker)

// Args adds flags.
func Args(args ...string) Option { return func(b *Broker) { b.args = append(b.args, args...) } }

// Under runs the server under another program, for example strace with its arguments.
func Under(wrapper ...string) Option { return func(b *Broker) { b.wrap = wrapper } }

// DataDir uses the directory instead of a temporary one.
func DataDir(dir string) Option { return func(b *Broker) { b.DataDir = dir } }

// Start runs a server and waits until it is ready. It ends with the test.
func Start(t testing.TB, opts ...Option) *Broker {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{t: t, bin: bin, DataDir: filepath.Join(t.TempDir(), "data"), KafkaAddr: freeAddr(t), HTTPAddr: freeAddr(t)}
	for _, o := range opts {
		o(b)
	}
	t.Cleanup(b.cleanup)
	b.Restart()
	return b
}

// Restart starts the server again over the same data and the same ports, and waits until it is ready.
func (b *Broker) Restart() {
	b.t.Helper()
	if err := b.Launch(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.AwaitReady(time.Minute); err != nil {
		b.t.Fatalf("%v\n%s", err, b.log)
	}
}

// Launch starts the server without waiting for it.
func (b *Broker) Launch() error {
	argv := append(append([]string{}, b.wrap...), b.bin, "standalone",
		"--kafka-port", port(b.KafkaAddr), "--http-port", port(b.HTTPAddr), "--data-dir", b.DataDir)
	argv = append(argv, b.args...)
	b.cmd = exec.Command(argv[0], argv[1:]...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	b.log = new(tail)
	pipe, err := b.cmd.StderrPipe()
	if err != nil {
		return err
	}
	b.cmd.Stdout = b.log
	if err := b.cmd.Start(); err != nil {
		return err
	}
	b.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, log *tail, ended chan<- error) {
		_, _ = io.Copy(log, bufio.NewReader(pipe))
		ended <- cmd.Wait()
	}(b.cmd, b.log, b.ended)
	return nil
}

// AwaitReady polls the readiness endpoint; it is the one thing that a process can be asked from outside.
func (b *Broker) AwaitReady(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.HTTPAddr+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the server did not become ready")
		case err := <-b.ended:
			b.ended <- err
			return fmt.Errorf("the server ended before it was ready: %v", err)
		case <-tick.C:
		}
	}
}

// PID is the server's process, which under a wrapper is the wrapper's child.
func (b *Broker) PID() int {
	if len(b.wrap) == 0 {
		return b.cmd.Process.Pid
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", b.cmd.Process.Pid))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		b.t.Fatalf("finding the server under %s: %v %v", b.wrap[0], err, convErr)
	}
	return pid
}

// Kill ends the server with SIGKILL and waits for its end.
func (b *Broker) Kill() {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	b.await()
}

// Stop ends the server with SIGTERM and returns how it ended.
func (b *Broker) Stop() error {
	_ = syscall.Kill(b.PID(), syscall.SIGTERM)
	return b.await()
}

func (b *Broker) await() error {
	err := <-b.ended
	b.ended <- err
	return err
}

func (b *Broker) cleanup() {
	if b.cmd != nil && b.cmd.Process != nil {
		b.Kill()
	}
	if b.t.Failed() && b.log != nil {
		b.t.Logf("the server's log:\n%s", b.log)
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// tail keeps the last 64 KiB of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 64 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if over := len(w.buf) - tailBytes; over > 0 {
		w.buf = w.buf[over:]
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}
