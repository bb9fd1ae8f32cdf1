package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"chronik/internal/bench"
)

// measurement is one run of one scenario against one broker.
type measurement struct {
	Broker   setup              `json:"broker"`
	Round    int                `json:"round"` // 0 is not counted
	Command  string             `json:"command"`
	Metrics  map[string]float64 `json:"metrics"`
	Verified bool               `json:"verified"`
	Verdict  string             `json:"verdict"`
}

// drive makes one run and returns what it measured. An unverified run is an error.
func (h *harness) drive(ctx context.Context, sc scenario, c *contestant, duration time.Duration) (*measurement, error) {
	settle()
	switch sc.driver {
	case franzGo, librdkafka:
		return h.driveBench(ctx, sc, c, duration)
	case cold:
		return h.driveCold(ctx, c)
	case javaProducer:
		return h.driveJava(ctx, c, duration)
	case resident:
		return residentMemory(c)
	}
	return nil, fmt.Errorf("scenario %s has no driver", sc.name)
}

const runWarmup = 2 * time.Second

func (h *harness) driveBench(ctx context.Context, sc scenario, c *contestant, duration time.Duration) (*measurement, error) {
	tool := h.tool("chronik-bench")
	if sc.driver == librdkafka {
		tool = h.tool("rdkafka-bench")
	}
	args := append(strings.Fields(sc.args), "--duration", fmt.Sprint(duration.Seconds()), "--warmup", fmt.Sprint(cmp.Or(sc.warmup, runWarmup).Seconds()))
	return h.bench(ctx, tool, c, args)
}

// bench runs chronik-bench or a driver with its flags, and reads its report.
func (h *harness) bench(ctx context.Context, tool string, c *contestant, args []string) (*measurement, error) {
	args = append([]string{"--bootstrap-servers", c.addr(), "--broker-pid", c.pids(), "--json", "-", "--quiet"}, args...)
	if n := len(c.nodes); n > 1 {
		args = append(args, "--replication-factor", strconv.Itoa(n))
	}
	out, err := h.execute(ctx, tool, args...)
	m := &measurement{Broker: c.setup, Command: tool + " " + strings.Join(args, " ")}
	var r bench.Result
	if jerr := json.Unmarshal(out, &r); jerr != nil || r.Verification == nil {
		return nil, fmt.Errorf("%s against %s: no report: %w", m.Command, c.setup, err)
	}
	m.Metrics, m.Verified, m.Verdict = fromResult(&r), r.Verification.OK, r.Verification.String()
	if err != nil {
		return m, fmt.Errorf("%s against %s: %w", m.Command, c.setup, err)
	}
	return m, nil
}

func fromResult(r *bench.Result) map[string]float64 {
	m := make(map[string]float64)
	if r.Join != nil && r.Leave != nil {
		m[joinTime], m[leaveTime] = r.Join.P50, r.Leave.P50
		return m // no records
	}
	m[rate] = r.RecordsPerSec
	if l := r.Latency; l != nil {
		m[p50], m[p99], m[p999] = l.P50, l.P99, l.P999
	}
	if u := r.Broker; u != nil {
		m[cpu], m[memory] = u.CPUSecondsPerMillion, float64(u.RSSBytes)/1e6
		if u.WriteCharsPerByte > 0 && r.Options.Mode != bench.Consume {
			m[writes] = u.WriteCharsPerByte
		}
	}
	return m
}

// execute runs a program to its end and returns its standard output. What it says on standard error
// comes with the error. An interrupt reaches it as one, so that it can delete its topic.
func (h *harness) execute(ctx context.Context, name string, args ...string) ([]byte, error) {
	if h.set.verbose {
		fmt.Fprintln(os.Stderr, "+", name, strings.Join(args, " "))
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%w\n%s", err, tail(errs.String(), 20))
	}
	return out.Bytes(), nil
}

func residentMemory(c *contestant) (*measurement, error) {
	u, err := c.processes().Usage()
	if err != nil {
		return nil, err
	}
	return &measurement{
		Broker: c.setup, Command: "VmRSS of processes " + c.pids(), Verified: true, Verdict: "OK",
		Metrics: map[string]float64{memory: float64(u.RSS) / 1e6},
	}, nil
}

// coldRecords of 1 KiB are read per run: enough to take seconds.
const (
	coldRecords = 2_000_000
	coldSeed    = 20_260_101
)

// driveCold fills a topic on its first call, and then reads it after dropping it from the page cache.
// The seed tells the reader what every record must be.
func (h *harness) driveCold(ctx context.Context, c *contestant) (*measurement, error) {
	const topic = "compare-cold"
	records := coldRecords
	if h.set.short {
		records /= 4
	}
	common := []string{"--topic", topic, "--seed", strconv.Itoa(coldSeed), "--message-size", "1024"}
	if !c.filled {
		fill := append(strings.Fields(bulk), "--records", strconv.Itoa(records), "--warmup", "0", "--duration", "10m")
		if _, err := h.bench(ctx, h.tool("chronik-bench"), c, append(common, fill...)); err != nil {
			return nil, fmt.Errorf("fill %s: %w", topic, err)
		}
		c.filled = true
	}
	settle()
	if err := c.pageOut(); err != nil {
		return nil, err
	}
	return h.bench(ctx, h.tool("chronik-bench"), c, append(common, "--mode", "consume", "--duration", "10m"))
}
