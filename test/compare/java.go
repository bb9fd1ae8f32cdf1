package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"chronik/internal/bench"
)

// Kafka's ConsumerPerformance is not here: it joins a consumer group, so it waits until Chronik has groups.
const (
	javaPerSecond  = 100_000 // records asked for per second of duration: the tool counts records, not time
	javaWarmup     = 300_000
	javaRecordSize = 256
	javaPayloads   = 1000
	javaSamples    = 200
)

// driveJava runs Kafka's own ProducerPerformance. The tool verifies nothing, so the end offset and sampled payloads
// are looked at from here: each payload ends with a checksum of the rest.
func (h *harness) driveJava(ctx context.Context, side *contestant, duration time.Duration) (m *measurement, err error) {
	payloads := filepath.Join(h.set.dir, "payloads.txt")
	if err := writePayloads(payloads); err != nil {
		return nil, err
	}
	o := bench.DefaultOptions()
	o.Brokers = strings.Split(side.addr(), ",")
	c, err := bench.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if derr := c.Delete(context.WithoutCancel(ctx), t); err == nil {
			err = derr
		}
	}()
	records := int64(duration.Seconds()*javaPerSecond) + javaWarmup
	args := []string{
		"-cp", h.classpath(), "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", side.addr(), "--topic", t.Name,
		"--num-records", strconv.FormatInt(records, 10), "--warmup-records", strconv.Itoa(javaWarmup),
		"--payload-file", payloads, "--throughput", "-1", "--reporting-interval", "3600000", "--command-property", "acks=1",
	}
	before, err := side.processes().Usage()
	if err != nil {
		return nil, err
	}
	out, err := h.execute(ctx, "java", args...)
	if err != nil {
		return nil, fmt.Errorf("ProducerPerformance against %s: %w\n%s", side.setup, err, tail(string(out), 10))
	}
	after, err := side.processes().Usage()
	if err != nil {
		return nil, err
	}
	m = &measurement{Broker: side.setup, Command: "java " + strings.Join(args, " ")}
	if m.Metrics, err = parseJava(string(out)); err != nil {
		return nil, err
	}
	used := side.processes().Between(before, after, records, records*javaRecordSize)
	m.Metrics[cpu], m.Metrics[memory], m.Metrics[writes] = used.CPUSecondsPerMillion, float64(used.RSSBytes)/1e6, used.WriteCharsPerByte
	if err := verifyJava(ctx, c, t, records); err != nil {
		m.Verdict = err.Error()
		return m, fmt.Errorf("ProducerPerformance against %s: %w: %w", side.setup, bench.ErrNotVerified, err)
	}
	m.Verified, m.Verdict = true, fmt.Sprintf("OK: end offset grew by %d; %d records read back", records, javaSamples)
	return m, nil
}

// writePayloads makes lines of letters, each ending with its CRC-32 in hexadecimal.
func writePayloads(path string) error {
	rnd := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for range javaPayloads {
		line := make([]byte, javaRecordSize-8)
		for i := range line {
			line[i] = 'A' + byte(rnd.IntN(26))
		}
		fmt.Fprintf(&text, "%s%08x\n", line, crc32.ChecksumIEEE(line))
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func checkPayload(value []byte) error {
	if len(value) != javaRecordSize {
		return fmt.Errorf("a payload has %d bytes, want %d", len(value), javaRecordSize)
	}
	if want := fmt.Sprintf("%08x", crc32.ChecksumIEEE(value[:javaRecordSize-8])); string(value[javaRecordSize-8:]) != want {
		return fmt.Errorf("a payload's checksum is %s, the payload says %q", want, value[javaRecordSize-8:])
	}
	return nil
}

func verifyJava(ctx context.Context, c *bench.Cluster, t bench.Topic, records int64) error {
	ends, err := c.Settled(ctx, t, records, 3*time.Second)
	if err != nil {
		return err
	}
	if ends[0] != records {
		return fmt.Errorf("%d records sent, the end offset is %d", records, ends[0])
	}
	src := c.Source(t)
	for i := range int64(javaSamples) {
		got, err := src.Read(ctx, 0, i*records/javaSamples, 1)
		if err != nil {
			return err
		}
		for _, r := range got {
			if err := checkPayload(r.Value); err != nil {
				return fmt.Errorf("offset %d: %w", r.Offset, err)
			}
		}
	}
	return nil
}

var javaLine = regexp.MustCompile(`(\d+) steady state records sent, ([\d.]+) records/sec .* ([\d.]+) ms 50th, .* ([\d.]+) ms 99th, ([\d.]+) ms 99\.9th`)

// parseJava reads the tool's closing line, which leaves the client's own warm-up out.
func parseJava(out string) (map[string]float64, error) {
	found := javaLine.FindStringSubmatch(out)
	if found == nil {
		return nil, fmt.Errorf("ProducerPerformance printed no steady state:\n%s", tail(out, 5))
	}
	m := make(map[string]float64)
	for i, name := range []string{rate, p50, p99, p999} {
		v, err := strconv.ParseFloat(found[i+2], 64)
		if err != nil {
			return nil, fmt.Errorf("ProducerPerformance: %w", err)
		}
		m[name] = v
	}
	return m, nil
}
