// Command kcat is the conformance driver of kcat, which it runs as a process. kcat cannot create topics with several
// partitions: franz-go does that for it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

// profile: kcat reads keys and values from lines, and takes an empty one for null.
const profile = "3kva"

var codecs = []struct {
	name     string
	settings []string
}{
	{"none", []string{"-X", "enable.idempotence=true"}},
	{"gzip", []string{"-X", "acks=1", "-X", "max.in.flight=1"}},
	{"snappy", []string{"-X", "enable.idempotence=true"}},
	{"lz4", []string{"-X", "acks=all", "-X", "max.in.flight=1"}},
	{"zstd", []string{"-X", "enable.idempotence=true"}},
}

func main() { driver.Main(own, read) }

func own(e *driver.Env) {
	for _, c := range codecs {
		t := dataset.MustParse(dataset.Name(e.Client, c.name, profile))
		settings := append([]string{"-z", c.name}, c.settings...)
		if e.Check("produce/"+c.name, func(ctx context.Context) error { return produce(ctx, e, t, settings...) }) {
			e.Wrote(t.Name)
			e.Check("read/"+c.name, func(ctx context.Context) error { return read(ctx, e, t) })
		}
	}
	for _, acks := range []string{"0", "1", "all"} {
		e.Check("acks-"+acks, func(ctx context.Context) error {
			small := *e
			small.Records = 1000
			t := dataset.MustParse(dataset.Name(e.Client, "acks"+acks, profile))
			if err := produce(ctx, &small, t, "-X", "acks="+acks, "-X", "max.in.flight=1"); err != nil {
				return err
			}
			// With acks=0 kcat ends before the broker has stored anything.
			return driver.Soon(func() error { return read(ctx, &small, t) })
		})
	}
	for _, c := range []struct {
		name string
		run  func(context.Context, *driver.Env) error
	}{
		{"metadata", metadata}, {"group-resume", groupResume}, {"headers", headers}, {"seek-timestamp", seekTimestamp}, {"tail", tail}, {"large-record", large},
		{"too-large", tooLarge}, {"unknown-topic", unknownTopic}, {"auto-create", autoCreate},
	} {
		e.Check(c.name, func(ctx context.Context) error { return c.run(ctx, e) })
	}
}

// kcat runs one kcat and returns its standard output; what it says on standard error is in the error.
func kcat(ctx context.Context, e *driver.Env, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", e.Bootstrap}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("kcat %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(says.String()))
	}
	return out.Bytes(), nil
}

// create makes a topic with leaders, whose records, old by their timestamps, are not deleted by age.
func create(ctx context.Context, e *driver.Env, topic string, partitions int32) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(e.Servers()...))
	if err != nil {
		return err
	}
	defer c.Close()
	a, keep := kadm.NewClient(c), "-1"
	if _, err := a.CreateTopic(ctx, partitions, driver.Replicas, map[string]*string{"retention.ms": &keep}, topic); err != nil {
		return err
	}
	for {
		got, err := a.ListEndOffsets(ctx, topic)
		if err == nil && got.Error() == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no leader of %s: %w", topic, errors.Join(err, got.Error()))
		}
	}
}

func produce(ctx context.Context, e *driver.Env, t dataset.Topic, settings ...string) error {
	if err := create(ctx, e, t.Name, t.Partitions); err != nil {
		return err
	}
	for p := range t.Partitions {
		var lines bytes.Buffer
		for o := range t.Count(p, e.Records) {
			r := t.At(p, o)
			fmt.Fprintf(&lines, "%s\t%s\n", r.Key, r.Value)
		}
		args := append([]string{"-P", "-t", t.Name, "-p", strconv.Itoa(int(p)), "-K", "\t", "-Z"}, settings...)
		if _, err := kcat(ctx, e, lines.Bytes(), args...); err != nil {
			return err
		}
	}
	return nil
}

// format shows all of a record: place, lengths (-1 is null), bytes.
const format = "%p %o %T %K %S %h|%k%s\n"

// shown is the record as kcat's format shows it. A topic without own timestamps shows the client's clock: "-" stands for it.
func shown(t dataset.Topic, r dataset.Record) []byte {
	length := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	var hs []string
	for _, h := range r.Headers {
		v, _, _ := strings.Cut(string(h.Value), "\x00") // kcat prints header values as C strings
		if h.Value == nil {
			v = "NULL"
		}
		hs = append(hs, h.Key+"="+v)
	}
	ts := "-"
	if t.Has('t') {
		ts = strconv.FormatInt(r.TimestampMs, 10)
	}
	return fmt.Appendf(nil, "%d %d %s %d %d %s|%s%s\n", r.Partition, r.Offset, ts, length(r.Key), length(r.Value),
		strings.Join(hs, ","), r.Key, r.Value)
}

func read(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	for p := range t.Partitions {
		f := format
		if !t.Has('t') {
			f = strings.Replace(f, "%T", "-", 1)
		}
		out, err := kcat(ctx, e, nil, "-C", "-t", t.Name, "-p", strconv.Itoa(int(p)), "-o", "beginning", "-e", "-q",
			"-X", "fetch.wait.max.ms=20", "-f", f)
		if err != nil {
			return err
		}
		for o := range t.Count(p, e.Records) {
			want := shown(t, t.At(p, o))
			if !bytes.HasPrefix(out, want) {
				return fmt.Errorf("partition %d offset %d: %q, want %q", p, o, out[:min(len(out), len(want)+40)], want)
			}
			out = out[len(want):]
		}
		if len(out) > 0 {
			return fmt.Errorf("partition %d: more than was written: %q", p, out[:min(len(out), 200)])
		}
	}
	return nil
}

func metadata(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	out, err := kcat(ctx, e, nil, "-L", "-J", "-t", t.Name)
	if err != nil {
		return err
	}
	for _, want := range []string{`"controllerid":`, `"topic":"` + t.Name + `"`, `"partition":2`, `"isrs":[{`} {
		if !bytes.Contains(out, []byte(want)) {
			return fmt.Errorf("no %s in %s", want, out)
		}
	}
	return nil
}

func headers(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("headers")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	if _, err := kcat(ctx, e, []byte("v"), "-P", "-t", topic, "-p", "0", "-H", "a=1", "-H", "b=", "-H", "a=2"); err != nil {
		return err
	}
	out, err := kcat(ctx, e, nil, "-C", "-t", topic, "-p", "0", "-e", "-q", "-o", "beginning", "-f", "%h %s")
	if err != nil {
		return err
	}
	return driver.Want("headers", string(out), "a=1,b=,a=2 v")
}

// seekTimestamp asks for offsets by time and reads from a time; the records are franz-go's, because kcat sets no timestamps.
func seekTimestamp(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "times", "1t"))
	if err := create(ctx, e, t.Name, 1); err != nil {
		return err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(e.Servers()...), kgo.DefaultProduceTopic(t.Name))
	if err != nil {
		return err
	}
	defer c.Close()
	var records []*kgo.Record
	for i := range 1000 {
		r := t.Record(i)
		records = append(records, &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.TimestampMs)})
	}
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	middle := dataset.TimestampMs(500) - 1
	want := t.FirstAtOrAfter(0, middle, 1000)
	at := strconv.FormatInt(middle, 10)
	out, err := kcat(ctx, e, nil, "-Q", "-t", t.Name+":0:"+at)
	if err != nil {
		return err
	}
	if err := driver.Want("answer", strings.TrimSpace(string(out)), fmt.Sprintf("%s [0] offset %d", t.Name, want)); err != nil {
		return err
	}
	out, err = kcat(ctx, e, nil, "-C", "-t", t.Name, "-p", "0", "-o", "s@"+at, "-c", "1", "-q", "-f", format)
	if err != nil {
		return err
	}
	return driver.Want("record", string(out), string(shown(t, t.At(0, want))))
}

func tail(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	out, err := kcat(ctx, e, nil, "-C", "-t", t.Name, "-p", "1", "-o", "-3", "-e", "-q", "-f", "%o ")
	if err != nil {
		return err
	}
	n := t.Count(1, e.Records)
	return driver.Want("last three offsets", string(out), fmt.Sprintf("%d %d %d ", n-3, n-2, n-1))
}

// whole makes kcat send a file as one record.
func whole(ctx context.Context, e *driver.Env, topic string, value []byte) error {
	dir, err := os.MkdirTemp("", "kcat-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		return err
	}
	_, err = kcat(ctx, e, nil, "-P", "-t", topic, "-p", "0", "-X", "message.max.bytes=8000000", file)
	return err
}

func large(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("large")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	want := bytes.Repeat([]byte("0123456789\nbcdef!"), 900_000/17)
	for range 2 {
		if err := whole(ctx, e, topic, want); err != nil {
			return err
		}
	}
	out, err := kcat(ctx, e, nil, "-C", "-t", topic, "-p", "0", "-e", "-q", "-o", "beginning", "-f", "%s")
	if err != nil {
		return err
	}
	return driver.Want("both unchanged", bytes.Equal(out, append(want, want...)), true)
}

func tooLarge(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("too-large")
	if err := create(ctx, e, topic, 1); err != nil {
		return err
	}
	return driver.WantError(whole(ctx, e, topic, make([]byte, 2_000_000)), "Message size too large")
}

func unknownTopic(ctx context.Context, e *driver.Env) error {
	_, err := kcat(ctx, e, nil, "-C", "-t", e.Topic("never-created"), "-p", "0", "-e", "-q", "-o", "beginning")
	return driver.WantError(err, "Unknown topic or partition")
}

func autoCreate(ctx context.Context, e *driver.Env) error {
	if _, err := kcat(ctx, e, []byte("v\n"), "-P", "-t", e.Topic("auto")); err != nil {
		return err
	}
	out, err := kcat(ctx, e, nil, "-C", "-t", e.Topic("auto"), "-p", "0", "-e", "-q", "-o", "beginning", "-f", "%o %s")
	if err != nil {
		return err
	}
	return driver.Want("record", string(out), "0 v")
}
