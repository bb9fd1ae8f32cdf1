package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// prepare makes a contestant with empty data directories below sub.
func (h *harness) prepare(ctx context.Context, of setup, sub string) (*contestant, error) {
	c := &contestant{setup: of, dir: filepath.Join(h.set.dir, sub)}
	if err := os.RemoveAll(c.dir); err != nil {
		return nil, err
	}
	inner := make([]int, of.nodes()) // the ports at which the nodes' metadata replicas hear each other
	for i := range inner {
		b := &broker{name: string(of), dir: c.dir}
		if len(inner) > 1 {
			b.name, b.dir = fmt.Sprintf("node %d of %s", i+1, of), filepath.Join(c.dir, strconv.Itoa(i+1))
		}
		b.data = filepath.Join(b.dir, "data")
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			return nil, err
		}
		port, err1 := freePort()
		second, err2 := freePort()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		b.addr, inner[i] = fmt.Sprintf("127.0.0.1:%d", port), second
		c.nodes = append(c.nodes, b)
	}
	if of.ours() {
		return c, h.prepareChronik(c, inner)
	}
	return c, h.prepareKafka(ctx, c, inner)
}

func (h *harness) prepareChronik(c *contestant, inner []int) error {
	for i, b := range c.nodes {
		_, port, err := net.SplitHostPort(b.addr)
		if err != nil {
			return err
		}
		admin, err1 := freePort()
		replication, err2 := freePort()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		b.argv = []string{
			h.tool("chronik-server"), "standalone", "--bind-addr", "127.0.0.1", "--advertised-addr", "127.0.0.1",
			"--kafka-port", port, "--http-port", strconv.Itoa(admin), "--data-dir", b.data, "--log-level", "warn",
		}
		if c.setup == chronik {
			continue
		}
		b.argv = append(b.argv, "--node-id", strconv.Itoa(i+1), "--raft-addr", fmt.Sprintf("127.0.0.1:%d", inner[i]), "--replication-port", strconv.Itoa(replication))
		var peers []string
		for j, other := range inner {
			if j != i {
				peers = append(peers, fmt.Sprintf("%d@127.0.0.1:%d", j+1, other))
			}
		}
		if len(peers) > 0 {
			b.argv = append(b.argv, "--peers", strings.Join(peers, ","))
		}
	}
	return nil
}

// Kafka's defaults, but for what nodes on loopback need.
const kafkaProperties = `process.roles=broker,controller
node.id=%[5]d
controller.quorum.voters=%[6]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
%[4]s`

const kafkaLogging = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders><Console name="console"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
`

// kafkaJVM is what Kafka's own start script passes.
var kafkaJVM = []string{
	"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
}

func (h *harness) prepareKafka(ctx context.Context, c *contestant, inner []int) error {
	extra := ""
	if c.setup == kafkaSync {
		extra = "log.flush.interval.messages=1\n"
	}
	var voters []string
	for i, port := range inner {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, port))
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[0] &= 0x7f           // an ID that begins with a dash would look like an option
	for i, b := range c.nodes {
		data, err := filepath.Abs(b.data)
		if err != nil {
			return err
		}
		text := fmt.Appendf(nil, kafkaProperties, b.addr, inner[i], data, extra, i+1, strings.Join(voters, ","))
		if err := h.formatKafka(ctx, b, text, base64.RawURLEncoding.EncodeToString(id[:])); err != nil {
			return err
		}
	}
	return nil
}

// formatKafka writes a node's configuration and makes its data directory.
func (h *harness) formatKafka(ctx context.Context, b *broker, text []byte, id string) error {
	properties, logging := filepath.Join(b.dir, "server.properties"), filepath.Join(b.dir, "log4j2.xml")
	err1 := os.WriteFile(properties, text, 0o644)
	err2 := os.WriteFile(logging, []byte(kafkaLogging), 0o644)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	format := exec.CommandContext(ctx, "java", "-cp", h.classpath(), "kafka.tools.StorageTool", "format", "-t", id, "-c", properties)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's directory: %w\n%s", err, out)
	}
	logged, err := filepath.Abs(logging)
	if err != nil {
		return err
	}
	b.argv = append([]string{"java"}, kafkaJVM...)
	b.argv = append(b.argv, "-Dlog4j2.configurationFile="+logged, "-cp", h.classpath(), "kafka.Kafka", properties)
	return nil
}

func (h *harness) classpath() string { return filepath.Join(h.jars, "*") }

// fetchKafka gets the jars through Maven, once.
func fetchKafka(ctx context.Context, into string) error {
	if found, _ := filepath.Glob(filepath.Join(into, "kafka_2.13-*.jar")); len(found) > 0 {
		return nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("Kafka's jars are fetched with Maven: install mvn and Java 17 or newer, or give -kafka-jars (%w)", err)
	}
	abs, err := filepath.Abs(into)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "fetching Apache Kafka's jars into", into)
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "test/compare/pom.xml",
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+abs)
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Kafka's jars: %w\n%s", err, tail(string(out), 20))
	}
	return nil
}

// build compiles what the comparison runs into bin/.
func build(ctx context.Context, s settings, chosen []scenario) error {
	steps := [][]string{{".", "0", "./cmd/chronik-bench"}}
	if s.only != "kafka" {
		steps = append(steps, []string{".", "0", "./cmd/chronik-server"})
	}
	for _, sc := range chosen {
		if sc.driver == librdkafka {
			steps = append(steps, []string{"test/compare/rdkafka", "1", "."})
			break
		}
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	for _, step := range steps {
		out := bin + string(filepath.Separator)
		if step[1] == "1" {
			out = filepath.Join(bin, "rdkafka-bench")
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, step[2])
		cmd.Dir = step[0]
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+step[1])
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s in %s: %w\n%s", step[2], step[0], err, text)
		}
	}
	return nil
}

// tail returns the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
