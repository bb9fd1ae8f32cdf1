// Command connect is the conformance driver of Kafka Connect: two workers copy a file into a topic and the topic into another file, and one is killed.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// limit is for the starts of two workers, and for a session that must end first.
const limit = 3 * time.Minute

func main() {
	driver.Main(own, func(context.Context, *driver.Env, dataset.Topic) error {
		return fmt.Errorf("connectors read no data sets of others")
	})
}

func own(e *driver.Env) {
	e.CheckWithin(limit, "files", func(ctx context.Context) error { return files(ctx, e) })
}

// A pipe is a file, the topic that it is copied to, and the file that the topic is copied to.
type pipe struct {
	e               *driver.Env
	cluster         *cluster
	client          *kgo.Client
	topic, in, out  string
	source, sink    string // connectors
	wanted, arrived []string
	last            int64 // offset of the last line in the topic
}

// files: while lines are copied, the worker that reads the file is killed. The topic then has each line once, in order, because the source works exactly
// once: it writes its offsets and its lines in one transaction. The last file has each line at least once.
func files(ctx context.Context, e *driver.Env) error {
	dir, err := os.MkdirTemp("", "connect-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := e.Topic("connect")
	p := &pipe{e: e, topic: name + "-lines", in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out"), source: name + "-source", sink: name + "-sink"}
	if err := p.open(ctx); err != nil {
		return err
	}
	defer p.client.Close()
	if p.cluster, err = startCluster(ctx, e, dir, name); err != nil {
		return err
	}
	defer p.cluster.kill()
	for _, step := range []func(context.Context) error{p.begin, p.takeOver, p.finish, p.offsets, p.storage, p.forget} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.cluster.stop()
}

func (p *pipe) open(ctx context.Context) error {
	var err error
	// Markers are kept, and left out below: this client goes past them without their epoch, and takes the next leader's answer for a loss.
	p.client, err = kgo.NewClient(kgo.SeedBrokers(p.e.Servers()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	if _, err := kadm.NewClient(p.client).CreateTopic(ctx, 1, driver.Replicas, nil, p.topic); err != nil {
		return err
	}
	return p.write(p.e.Records * 2 / 3)
}

// write appends lines to the first file until there are n.
func (p *pipe) write(n int) error {
	f, err := os.OpenFile(p.in, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for i := len(p.wanted); i < n; i++ {
		p.wanted = append(p.wanted, fmt.Sprintf("line %d of %s", i, p.topic))
		lines.WriteString(p.wanted[i] + "\n")
	}
	_, err = f.Write(lines.Bytes())
	if err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// begin makes the connectors, and returns when some lines have been copied.
func (p *pipe) begin(ctx context.Context) error {
	if err := p.cluster.create(ctx, p.source, map[string]string{
		"connector.class": "FileStreamSource", "tasks.max": "1", "file": p.in, "topic": p.topic, "batch.size": "100",
	}); err != nil {
		return err
	}
	if err := p.cluster.create(ctx, p.sink, map[string]string{
		"connector.class": "FileStreamSink", "tasks.max": "1", "file": p.out, "topics": p.topic, "consumer.override.isolation.level": "read_committed",
	}); err != nil {
		return err
	}
	return p.await(ctx, p.e.Records/3)
}

// await reads the topic until it has n lines.
func (p *pipe) await(ctx context.Context, n int) error {
	for len(p.arrived) < n {
		fetches := p.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d lines are in the topic: %w", len(p.arrived), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.IsControl() {
				return
			}
			p.arrived = append(p.arrived, string(r.Value))
			p.last = r.Offset
		})
	}
	return nil
}

// takeOver kills the worker that reads the file, in the midst of it, and has the other one read the rest.
func (p *pipe) takeOver(ctx context.Context) error {
	w, err := p.cluster.worker(ctx, p.source)
	if err != nil {
		return err
	}
	p.cluster.killWorker(w)
	if err := p.write(p.e.Records); err != nil {
		return err
	}
	return p.await(ctx, p.e.Records)
}

// finish compares the lines in the topic, and returns when the last file has each one.
func (p *pipe) finish(ctx context.Context) error {
	for i, line := range p.arrived {
		if i >= len(p.wanted) || line != p.wanted[i] {
			return fmt.Errorf("line %d in the topic is %q", i, line)
		}
	}
	return p.cluster.until(ctx, "each line is in the last file", func() error {
		content, err := os.ReadFile(p.out)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for line := range bytes.Lines(content) {
			there[string(bytes.TrimSuffix(line, []byte("\n")))] = true
		}
		for _, line := range p.wanted {
			if !there[line] {
				return fmt.Errorf("%q is missing, of %d there are %d", line, len(p.wanted), len(there))
			}
		}
		return driver.Want("lines in the last file, none of them changed", len(there), len(p.wanted))
	})
}
