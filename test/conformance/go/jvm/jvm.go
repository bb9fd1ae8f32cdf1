// Package jvm runs Kafka's Java programs for drivers that are written in Go: its tools, which end by themselves, and processes that go on until they
// are stopped or killed. The classes are those that Maven fetched and compiled.
package jvm

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"

	"chronik/test/conformance/go/driver"
)

// Tool runs a class to its end and returns what it prints on both outputs; exit codes other than 0 are errors.
func Tool(ctx context.Context, e *driver.Env, input []byte, class string, args ...string) (string, error) {
	cmd := command(ctx, e, nil, class, args...)
	cmd.Stdin = bytes.NewReader(input)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	err := cmd.Run()
	all := out.String() + says.String()
	if err != nil {
		return all, fmt.Errorf("%s: %w: %s", class, err, all[:min(len(all), 1500)])
	}
	return all, nil
}

// command is a small JVM that starts fast and may be the only one or one of many.
func command(ctx context.Context, e *driver.Env, more []string, class string, args ...string) *exec.Cmd {
	classpath := filepath.Join(e.Data, "java/classes") + ":" + filepath.Join(e.Data, "java/lib/*")
	for _, dir := range more {
		classpath += ":" + filepath.Join(e.Data, dir)
	}
	jvm := []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, class}
	return exec.CommandContext(ctx, "java", append(jvm, args...)...)
}

// WithServer puts the brokers before other arguments, as most tools want them.
func WithServer(e *driver.Env, args ...string) []string {
	return append([]string{"--bootstrap-server", e.Bootstrap}, args...)
}

// WantMatch expects every pattern in a tool's output.
func WantMatch(out string, err error, patterns ...string) error {
	if err != nil {
		return err
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(out) {
			return fmt.Errorf("no %s in %q", p, out[:min(len(out), 1500)])
		}
	}
	return nil
}
