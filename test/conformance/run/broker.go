package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// A broker is what the drivers talk to: one that was started here, or somebody else's.
type broker struct {
	addr    string
	tag     string // not empty if the broker may know topics of an earlier run
	logPath string
	name    string

	cmd   *exec.Cmd // nil: not ours
	ended chan struct{}
	err   error // of the process; valid once ended is closed
	dir   string
}

func startBroker(ctx context.Context, o options, in *installer) (*broker, error) {
	if o.bootstrap != "" {
		return &broker{addr: o.bootstrap, name: o.bootstrap, tag: "." + strconv.FormatInt(time.Now().Unix(), 36)}, nil
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	b := &broker{
		addr: "127.0.0.1:" + ports[0], dir: dir, ended: make(chan struct{}),
		logPath: filepath.Join(in.cache, "broker.log"),
	}
	if o.kafka {
		b.name = "Apache Kafka"
		b.cmd, err = kafkaCommand(ctx, in, dir, ports)
	} else {
		b.name = o.server
		b.cmd = exec.Command(o.server, "standalone", "--kafka-port", ports[0], "--http-port", ports[1],
			"--data-dir", filepath.Join(dir, "data"))
	}
	if err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

func (b *broker) start(ctx context.Context) error {
	log, err := os.Create(b.logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal ends the drivers first
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("%w; `make build` makes bin/chronik-server", err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		if c, err := net.Dial("tcp", b.addr); err == nil {
			return c.Close()
		}
		select {
		case <-retry.C:
		case <-b.ended:
			return fmt.Errorf("%s ended at once: %v; see %s", b.name, b.err, b.logPath)
		case <-ctx.Done():
			_ = b.cmd.Process.Kill()
			return fmt.Errorf("%s does not listen on %s after %v; see %s", b.name, b.addr, startLimit, b.logPath)
		}
	}
}

func (b *broker) alive() bool {
	select {
	case <-b.ended:
		return false
	default:
		return true // also somebody else's: ended is nil
	}
}

// whileAlive is ctx until the broker ends on its own: without one, every driver would wait for its time limit.
func (b *broker) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if b.ended != nil {
		go func() {
			select {
			case <-b.ended:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// stop asks the broker to end, and counts it as a check that it does so in time and says success.
func (b *broker) stop(t *tally) {
	if b.cmd == nil {
		return
	}
	defer os.RemoveAll(b.dir)
	if !b.alive() {
		t.fail("broker/alive", fmt.Sprintf("ended on its own: %v; see %s", b.err, b.logPath))
		return
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.ended:
	case <-time.After(stopLimit):
		_ = b.cmd.Process.Kill()
		<-b.ended
		t.fail("broker/stop", fmt.Sprintf("still there %v after SIGTERM", stopLimit))
		return
	}
	var exit *exec.ExitError
	const jvmTerminated = 128 + int(syscall.SIGTERM)
	if b.err != nil && !(errors.As(b.err, &exit) && exit.ExitCode() == jvmTerminated) {
		t.fail("broker/stop", fmt.Sprintf("%v; see %s", b.err, b.logPath))
		return
	}
	t.pass()
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once at the end, so that no port comes twice
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// kafkaCommand formats a directory and prepares Apache Kafka as one KRaft node with its defaults.
func kafkaCommand(ctx context.Context, in *installer, dir string, ports []string) (*exec.Cmd, error) {
	file := filepath.Join(dir, "server.properties")
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]s
listeners=PLAINTEXT://127.0.0.1:%[1]s,CONTROLLER://127.0.0.1:%[2]s
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.dirs=%[3]s
`, ports[0], ports[1], filepath.Join(dir, "data"))
	if err := os.WriteFile(file, []byte(properties), 0o644); err != nil {
		return nil, err
	}
	classpath := in.path("java/lib/*")
	format := exec.CommandContext(ctx, "java", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "Y29uZm9ybWFuY2Utay4uLg", "-c", file)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting Kafka's directory: %w: %s", err, out)
	}
	return exec.Command("java", "-Xmx1g", "-cp", classpath, "kafka.Kafka", file), nil
}
