package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// prepare makes a broker of the given kind with an empty data directory named after it.
func (h *harness) prepare(ctx context.Context, name, sub string) (*broker, error) {
	b := &broker{name: name, dir: filepath.Join(h.set.dir, sub)}
	b.data = filepath.Join(b.dir, "data")
	if err := os.RemoveAll(b.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	port, err1 := freePort()
	second, err2 := freePort()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	b.addr = fmt.Sprintf("127.0.0.1:%d", port)
	if name == chronik {
		b.argv = []string{
			h.tool("chronik-server"), "standalone", "--bind-addr", "127.0.0.1", "--advertised-addr", "127.0.0.1",
			"--kafka-port", strconv.Itoa(port), "--http-port", strconv.Itoa(second), "--data-dir", b.data, "--log-level", "warn",
		}
		return b, nil
	}
	extra := ""
	if name == kafkaSync {
		extra = "log.flush.interval.messages=1\n"
	}
	return b, h.prepareKafka(ctx, b, second, extra)
}

// Kafka's defaults, but for what a single node on loopback needs.
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
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

func (h *harness) prepareKafka(ctx context.Context, b *broker, controllerPort int, extra string) error {
	properties, logging := filepath.Join(b.dir, "server.properties"), filepath.Join(b.dir, "log4j2.xml")
	data, err := filepath.Abs(b.data)
	if err != nil {
		return err
	}
	err1 := os.WriteFile(properties, fmt.Appendf(nil, kafkaProperties, b.addr, controllerPort, data, extra), 0o644)
	err2 := os.WriteFile(logging, []byte(kafkaLogging), 0o644)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[0] &= 0x7f           // an ID that begins with a dash would look like an option
	format := exec.CommandContext(ctx, "java", "-cp", h.classpath(), "kafka.tools.StorageTool",
		"format", "-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", properties)
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
