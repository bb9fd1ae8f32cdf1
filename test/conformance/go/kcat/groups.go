package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// groupResume: a second member goes on where the first one has committed.
func groupResume(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	next := make([]int64, t.Partitions)
	for _, n := range []int{e.Records / 3, e.Records - e.Records/3} {
		f := format
		if !t.Has('t') {
			f = strings.Replace(f, "%T", "-", 1)
		}
		out, err := kcat(ctx, e, nil, "-G", "group-"+e.Client+"-resume", "-c", strconv.Itoa(n), "-q", "-X", "auto.offset.reset=earliest",
			"-X", "fetch.wait.max.ms=20", "-f", f, t.Name)
		if err != nil {
			return err
		}
		if err := follow(t, next, out); err != nil {
			return err
		}
	}
	for p := range t.Partitions {
		if err := driver.Want(fmt.Sprintf("the end of partition %d", p), next[p], t.Count(p, e.Records)); err != nil {
			return err
		}
	}
	return nil
}

// follow reads records of all partitions as kcat shows them.
func follow(t dataset.Topic, next []int64, out []byte) error {
	for len(out) > 0 {
		first, _, _ := bytes.Cut(out, []byte(" "))
		p, err := strconv.Atoi(string(first))
		if err != nil || p >= len(next) {
			return fmt.Errorf("no partition: %q", out[:min(len(out), 80)])
		}
		want := shown(t, t.At(int32(p), next[p]))
		if !bytes.HasPrefix(out, want) {
			return fmt.Errorf("partition %d offset %d: %q, want %q", p, next[p], out[:min(len(out), len(want)+40)], want)
		}
		next[p]++
		out = out[len(want):]
	}
	return nil
}
