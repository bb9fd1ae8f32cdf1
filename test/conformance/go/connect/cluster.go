package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// A cluster is Connect's workers in distributed mode; those that were killed are not among them any more.
type cluster struct {
	name    string
	workers []*worker
}

type worker struct {
	*jvm.Process
	addr string // host:port of its REST interface, and its name in the cluster
}

// storageTopics are where a cluster of this name keeps offsets, connectors' settings and their state.
func storageTopics(name string) []string {
	return []string{name + "-offsets", name + "-configs", name + "-status"}
}

func startCluster(ctx context.Context, e *driver.Env, dir, name string) (*cluster, error) {
	c := &cluster{name: name}
	for n := 1; n <= 2; n++ {
		w, err := startWorker(ctx, e, filepath.Join(dir, fmt.Sprintf("worker-%d.properties", n)), name, n)
		if err != nil {
			c.kill()
			return nil, err
		}
		c.workers = append(c.workers, w)
	}
	return c, nil
}

func startWorker(ctx context.Context, e *driver.Env, file, name string, n int) (*worker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	topics := storageTopics(name)
	settings := []string{
		"bootstrap.servers=" + e.Bootstrap, "group.id=" + name, "listeners=http://" + addr, "plugin.discovery=service_load",
		"key.converter=org.apache.kafka.connect.storage.StringConverter", "value.converter=org.apache.kafka.connect.storage.StringConverter",
		"offset.storage.topic=" + topics[0], "config.storage.topic=" + topics[1], "status.storage.topic=" + topics[2],
		"offset.storage.replication.factor=-1", "config.storage.replication.factor=-1", "status.storage.replication.factor=-1",
		"offset.storage.partitions=3", "status.storage.partitions=2", "exactly.once.source.support=enabled", "offset.flush.interval.ms=500",
		// workers and consumers that are killed are missed soon, and nobody waits long for them to come back
		"session.timeout.ms=6000", "heartbeat.interval.ms=500", "scheduled.rebalance.max.delay.ms=500",
		"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=500",
	}
	if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	p, err := jvm.Start(ctx, e, fmt.Sprintf("connect-%d", n), "org.apache.kafka.connect.cli.ConnectDistributed", file)
	return &worker{Process: p, addr: addr}, err
}

func (c *cluster) kill() {
	for _, w := range c.workers {
		w.Kill()
	}
	c.workers = nil
}

func (c *cluster) killWorker(w *worker) {
	w.Kill()
	for i, other := range c.workers {
		if other == w {
			c.workers = append(c.workers[:i], c.workers[i+1:]...)
			return
		}
	}
}

func (c *cluster) stop() error {
	var all error
	for _, w := range c.workers {
		all = errors.Join(all, w.Stop())
	}
	c.workers = nil
	return all
}

// until looks again and again: Connect tells nobody when something is true. It ends early with a worker.
func (c *cluster) until(ctx context.Context, what string, look func() error) error {
	for _, w := range c.workers {
		while, cancel := w.While(ctx)
		defer cancel()
		ctx = while
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("it never came true that %s: %w, %w", what, err, context.Cause(ctx))
		}
	}
}

// ask sends a request to the first worker and decodes its answer, if any is wanted.
func (c *cluster) ask(ctx context.Context, method, path string, send, answer any) error {
	var body bytes.Buffer
	if send != nil {
		if err := json.NewEncoder(&body).Encode(send); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.workers[0].addr+path, &body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	if got.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, got.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// create makes a connector, as soon as the workers have found each other.
func (c *cluster) create(ctx context.Context, name string, settings map[string]string) error {
	return c.until(ctx, "there is a connector "+name, func() error {
		return c.ask(ctx, http.MethodPut, "/connectors/"+name+"/config", settings, nil)
	})
}

// worker is the one that has the connector's task.
func (c *cluster) worker(ctx context.Context, connector string) (*worker, error) {
	var found *worker
	err := c.until(ctx, connector+" has a task", func() error {
		var status struct {
			Tasks []struct {
				State  string
				Worker string `json:"worker_id"`
			}
		}
		if err := c.ask(ctx, http.MethodGet, "/connectors/"+connector+"/status", nil, &status); err != nil {
			return err
		}
		for _, w := range c.workers {
			if len(status.Tasks) == 1 && status.Tasks[0].State == "RUNNING" && status.Tasks[0].Worker == w.addr {
				found = w
				return nil
			}
		}
		return fmt.Errorf("its status is %+v", status)
	})
	return found, err
}
