package main

import (
	"context"
	"fmt"

	"chronik/test/conformance/go/jvm"
)

// tool is kafka-streams-groups, which knows groups of the streams protocol only.
func (a *application) tool(ctx context.Context, args ...string) (string, error) {
	return jvm.Tool(ctx, a.e, nil, "org.apache.kafka.tools.streams.StreamsGroupCommand", jvm.WithServer(a.e, args...)...)
}

// describedAs is the group as an operator sees it while the application runs: stable, with both threads, which have tasks, and offsets of all that they read.
func (a *application) describedAs(ctx context.Context) error {
	for _, x := range []struct {
		of   string
		want []string
	}{
		{"--state", []string{`(?m)^` + a.name + `\s+\S+:\d+\s+\(\d+\)\s+Stable\s+2\s*$`}},
		{"--members", []string{`(?s)` + a.name + `\s[^\n]*ACTIVE: [01]:\[.*` + a.name + `\s[^\n]*ACTIVE: [01]:\[`}},
		{"--offsets", []string{a.name + `\s+` + a.in + `\s+0\s+\d+`, a.name + `\s+` + a.in + `\s+2\s+\d+`, a.name + `\s+` + a.name + `-words-repartition\s+1\s+\d+`}},
	} {
		out, err := a.tool(ctx, "--describe", "--group", a.name, x.of)
		if err := jvm.WantMatch(out, err, x.want...); err != nil {
			return fmt.Errorf("describing %s: %w", x.of, err)
		}
	}
	out, err := a.tool(ctx, "--list", "--state")
	if err := jvm.WantMatch(out, err, `(?m)^`+a.name+`\s+Stable`); err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	out, err = a.tool(ctx, "--delete", "--group", a.name)
	if err := jvm.WantMatch(out, err, `GroupNotEmptyException`); err != nil {
		return fmt.Errorf("deleting while it runs: %w", err)
	}
	return nil
}

// deleted: without members the group is empty, and goes with its internal topics.
func (a *application) deleted(ctx context.Context) error {
	out, err := a.tool(ctx, "--describe", "--group", a.name, "--state")
	if err := jvm.WantMatch(out, err, `(?m)^`+a.name+`\s+\S+:\d+\s+\(\d+\)\s+Empty\s+0\s*$`); err != nil {
		return fmt.Errorf("describing it without members: %w", err)
	}
	out, err = a.tool(ctx, "--delete", "--group", a.name, "--delete-all-internal-topics")
	if err := jvm.WantMatch(out, err, `was successful`); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	out, _ = a.tool(ctx, "--describe", "--group", a.name, "--state") // the tool's exit code is 1
	if err := jvm.WantMatch(out, nil, `GroupIdNotFoundException`); err != nil {
		return fmt.Errorf("describing what is deleted: %w", err)
	}
	return nil
}
