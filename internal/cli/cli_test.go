package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// command runs a command line that ends by itself.
func command(t *testing.T, root func(Streams) *cobra.Command, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), root, args, Streams{Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// line is what `config` prints for one setting: name, value and source.
func line(t *testing.T, stdout, name string) (value, source string) {
	t.Helper()
	for l := range strings.Lines(stdout) {
		if f := strings.Fields(l); len(f) > 2 && f[0] == name {
			return f[1], strings.Join(f[2:], " ")
		}
	}
	t.Fatalf("there is no %s in:\n%s", name, stdout)
	return "", ""
}

// TestPrecedence: flag over environment over file over default, and config says which it was.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chronik.toml")
	text := "kafka-port = 1111\nhttp-port = 1112\nnode-id = 3\n[kafka]\n\"num.partitions\" = 5\n\"log.retention.ms\" = 5\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CHRONIK_CONFIG", file)
	t.Setenv("CHRONIK_KAFKA_PORT", "2222")
	t.Setenv("CHRONIK_HTTP_PORT", "2223")
	t.Setenv("CHRONIK_KAFKA_NUM_PARTITIONS", "6")
	code, out, stderr := command(t, Server, "config", "--kafka-port", "3333")
	if code != ExitOK || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, tc := range []struct{ name, value, source string }{
		{"kafka-port", "3333", "flag --kafka-port"},
		{"http-port", "2223", "CHRONIK_HTTP_PORT"},
		{"node-id", "3", file},
		{"data-dir", "./data", "default"},
		{"num.partitions", "6", "CHRONIK_KAFKA_NUM_PARTITIONS"},
		{"log.retention.ms", "5", file},
	} {
		value, source := line(t, out, tc.name)
		if value != tc.value || !strings.Contains(source, tc.source) {
			t.Errorf("%s is %s from %q, want %s from %q", tc.name, value, source, tc.value, tc.source)
		}
	}
}

// TestFlagsBeforeAndAfter: it does not matter on which side of the command they stand.
func TestFlagsBeforeAndAfter(t *testing.T) {
	for _, args := range [][]string{
		{"--node-id", "9", "config"}, {"config", "--node-id", "9"}, {"--node-id=9", "config"}, {"config", "--node-id=9"},
		{"--data-dir", "/d", "config", "--node-id", "9"},
	} {
		code, out, stderr := command(t, Server, args...)
		if code != ExitOK {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
			continue
		}
		if value, _ := line(t, out, "node-id"); value != "9" {
			t.Errorf("%v: node-id %s, want 9", args, value)
		}
	}
	_, out, _ := command(t, Server, "config", "--data-dir", "/a", "--data-dir", "/b,/c")
	if value, _ := line(t, out, "data-dir"); value != "/a,/b,/c" {
		t.Errorf("a flag of several values is %s, want all of them", value)
	}
	code, out, _ := command(t, Chronik, "server", "--node-id", "8", "config")
	if value, _ := line(t, out, "node-id"); code != ExitOK || value != "8" {
		t.Errorf("chronik server: exit code %d, node-id %s", code, value)
	}
}

// TestUsageErrors: wrong usage is 2, and the message says what is wrong and where to look.
func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		root func(Streams) *cobra.Command
		args []string
		says string
	}{
		{"nothing", Server, nil, "chronik-server standalone"},
		{"nothing below", Chronik, []string{"server"}, "chronik server standalone"},
		{"an unknown command", Server, []string{"cluster"}, `"cluster" is not a command`},
		{"an unknown flag", Server, []string{"standalone", "--no-such-flag"}, "no-such-flag"},
		{"a flag without a value", Server, []string{"standalone", "--data-dir"}, "data-dir"},
		{"too much", Server, []string{"standalone", "now"}, `"now"`},
		{"a bad value", Server, []string{"standalone", "--kafka-port", "many"}, `"many" is not a port`},
		{"a file that is not there", Server, []string{"config", "--config", "/no/such/file.toml"}, "/no/such/file.toml"},
		{"every address, but none for clients", Server, []string{"standalone", "--bind-addr", "0.0.0.0"}, "advertised-addr"},
		{"two ports that are one", Server, []string{"standalone", "--http-port", "9092"}, "9092"},
		{"an unknown command of chronik", Chronik, []string{"sever"}, `"sever" is not a command`},
		{"an unknown command below", Chronik, []string{"server", "cluster"}, `"cluster" is not a command`},
	} {
		code, out, stderr := command(t, tc.root, tc.args...)
		if code != ExitUsage {
			t.Errorf("%s: exit code %d, want %d", tc.name, code, ExitUsage)
		}
		if !strings.Contains(stderr, tc.says) || !strings.Contains(stderr, "--help") || out != "" {
			t.Errorf("%s: stdout %q, stderr %q; want %q and where to look", tc.name, out, stderr, tc.says)
		}
	}
}

// TestHelp: every setting is in it, with its environment variable.
func TestHelp(t *testing.T) {
	code, out, _ := command(t, Server, "standalone", "--help")
	for _, want := range []string{"--kafka-port", "CHRONIK_KAFKA_PORT", "--data-dir", "--advertised-addr", "--config"} {
		if !strings.Contains(out, want) {
			t.Errorf("the help does not have %s", want)
		}
	}
	if code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	if code, out, _ := command(t, Chronik); code != ExitOK || !strings.Contains(out, "server") || !strings.Contains(out, "bench") {
		t.Errorf("chronik alone: exit code %d, %s", code, out)
	}
}

// started runs a broker and returns its start line, and a function that stops it and returns its exit code.
func started(t *testing.T, args ...string) (startLine string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		code := run(ctx, Server, args, Streams{Out: w, Err: &stderr})
		_ = w.Close()
		done <- code
	}()
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatalf("no start line; exit code %d: %s", <-done, stderr.String())
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return string(buf[:n]), func() (int, string) {
		cancel()
		return <-done, stderr.String()
	}
}

// TestStandalone: it says where it listens, stops with 0 when told to, and refuses a second run in the same directory with 1.
func TestStandalone(t *testing.T) {
	dir := t.TempDir()
	args := []string{"standalone", "--kafka-port", "0", "--http-port", "0", "--data-dir", dir}
	line, stop := started(t, args...)
	if !strings.Contains(line, "Kafka on 127.0.0.1:") || !strings.Contains(line, dir) || strings.Count(line, "\n") != 1 {
		t.Errorf("the start line is %q", line)
	}
	code, out, stderr := command(t, Server, args...)
	if code != ExitFail || out != "" || !strings.Contains(stderr, dir+" is in use") || !strings.Contains(stderr, "--data-dir") || strings.Contains(stderr, "--help") {
		t.Errorf("a second run: exit code %d, stdout %q, stderr %q", code, out, stderr)
	}
	if code, stderr := stop(); code != ExitOK {
		t.Errorf("stopping: exit code %d: %s", code, stderr)
	}
	line, stop = started(t, append([]string{"--log-level", "error"}, args...)...)
	if !strings.Contains(line, "node 1") {
		t.Errorf("the second start line is %q", line)
	}
	if code, stderr := stop(); code != ExitOK || stderr != "" {
		t.Errorf("stopping again: exit code %d: %s", code, stderr)
	}
	code, _, stderr = command(t, Server, append(args, "--node-id", "2")...)
	if code != ExitFail || !strings.Contains(stderr, fmt.Sprint(2)) {
		t.Errorf("another node's directory: exit code %d, %s", code, stderr)
	}
}
