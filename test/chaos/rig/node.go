package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The ports of every node: they do not meet, each node has a network of its own.
const (
	kafkaPort       = 9092
	raftPort        = 5001
	replicationPort = 9291
	httpPort        = 6092
)

// Node is a server that runs, stands still, or is dead; its data stays.
type Node struct {
	ID  int
	Bin string // the program that the next Launch starts

	c     *Cluster
	home  string // of the data directory: a file system of its own if there is a disk
	disk  *disk
	log   *os.File
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// Running tells whether there is a process.
func (n *Node) Running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Launch starts the server and does not wait for it.
func (n *Node) Launch() error {
	var peers []string
	for _, other := range n.c.Nodes {
		if other != n {
			peers = append(peers, fmt.Sprintf("%d@%s:%d", other.ID, n.c.Net.IP(other.ID), raftPort))
		}
	}
	ip := n.c.Net.IP(n.ID)
	// nsenter becomes the server: its process ID is the server's.
	argv := []string{"nsenter", "--net=/run/netns/" + n.c.Net.namespace(n.ID), n.Bin, "standalone",
		"--node-id", fmt.Sprint(n.ID), "--bind-addr", ip, "--raft-addr", fmt.Sprintf("%s:%d", ip, raftPort), "--peers", strings.Join(peers, ","),
		"--kafka-port", fmt.Sprint(kafkaPort), "--http-port", fmt.Sprint(httpPort), "--replication-port", fmt.Sprint(replicationPort),
		"--data-dir", n.dataDir(), "--cluster-secret-file", n.c.secret, "--log-level", n.c.opts.LogLevel}
	cmd := exec.Command(argv[0], append(argv[1:], n.c.opts.Args...)...)
	cmd.Env = append(os.Environ(), n.c.env()...)
	cmd.Stdout, cmd.Stderr = n.log, n.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	n.note("the test starts %s", n.Bin)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	n.cmd, n.ended, n.err = cmd, ended, nil
	go func() {
		n.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// AwaitReady returns when the server says that it is ready.
func (n *Node) AwaitReady(ctx context.Context) error {
	return await(ctx, fmt.Sprintf("node %d is not ready", n.ID), 20*time.Millisecond, func(ctx context.Context) error {
		if !n.Running() {
			return fmt.Errorf("it has ended: %w", n.err)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/readyz", n.c.Net.IP(n.ID), httpPort), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// Restart launches the server and waits until it is ready.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// Signal sends a signal to the server, and returns when it was sent: SIGKILL, SIGSTOP and SIGCONT act at once.
func (n *Node) Signal(s syscall.Signal) error {
	n.note("the test sends %v", s)
	return n.cmd.Process.Signal(s)
}

// Kill ends the server with SIGKILL, and returns when it is gone.
func (n *Node) Kill() error {
	if err := n.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	n.AwaitEnd()
	return nil
}

// AwaitEnd returns when the server that was launched last is gone.
func (n *Node) AwaitEnd() { <-n.ended }

// Stop ends the server with SIGTERM, and returns how it ended.
func (n *Node) Stop(ctx context.Context) error {
	if err := n.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.ended:
		return n.err
	case <-ctx.Done():
		return fmt.Errorf("node %d does not stop: %w", n.ID, context.Cause(ctx))
	}
}

// Wipe replaces the data directory of a dead node by an empty one.
func (n *Node) Wipe() error {
	n.note("the test wipes the data directory")
	return os.RemoveAll(n.dataDir())
}

// Freeze lets no write of the node's disk return until Thaw.
// A process that writes then cannot even be killed.
func (n *Node) Freeze() error { n.note("the disk stands still"); return n.disk.freeze() }

// Thaw undoes Freeze.
func (n *Node) Thaw() error { n.note("the disk moves again"); return n.disk.thaw() }

// Isolate cuts the node off from everybody, clients included, without a word.
func (n *Node) Isolate() error { n.note("the link is cut"); return n.c.Net.Isolate(n.ID) }

// Heal takes all faults of the network away, of every node.
func (n *Node) Heal() error { n.note("the links are healed"); return n.c.Net.Heal() }

// Fill leaves no space on the node's disk.
func (n *Node) Fill() error { n.note("the disk is full"); return n.disk.fill() }

// Free undoes Fill.
func (n *Node) Free() error { n.note("the disk has space again"); return n.disk.free() }

func (n *Node) dataDir() string { return filepath.Join(n.home, "data") }

// note writes a line into the node's log, so that cause and effect stand beside each other.
func (n *Node) note(format string, args ...any) {
	_, _ = fmt.Fprintf(n.log, "---- %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, args...))
}
