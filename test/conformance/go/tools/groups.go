package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

const hours = 48 // records in each partition of a topic, one for each hour before now

// resetOffsets: a group without members, and every way to say where it should go on.
func resetOffsets(ctx context.Context, e *driver.Env) error {
	topic, other, group := e.Topic("reset"), e.Topic("reset-other"), "group-"+e.Client+"-reset"
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	start := time.Now().Add(-hours * time.Hour)
	if err := hourly(ctx, c, start, topic, other); err != nil {
		return err
	}
	at := make(kadm.Offsets)
	at.AddOffset(topic, 0, 7, -1)
	at.AddOffset(topic, 1, 8, -1)
	at.AddOffset(other, 0, 9, -1)
	if err := admin.CommitAllOffsets(ctx, group, at); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "offsets-*.csv")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	fmt.Fprintf(file, "\"%s\",0,21\n\"%s\",1,22\n", topic, topic)
	if err := file.Close(); err != nil {
		return err
	}
	const dry = "--dry-run"
	for _, r := range []struct {
		how  string
		want [2]int // of the topic's first two partitions
	}{
		{"--to-current", [2]int{7, 8}},
		{"--to-offset 5", [2]int{5, 5}},
		{"--to-offset 1000", [2]int{hours, hours}},
		{"--shift-by -2", [2]int{hours - 2, hours - 2}},
		{"--shift-by 1", [2]int{hours - 1, hours - 1}},
		{"--to-earliest", [2]int{0, 0}},
		{"--to-latest " + dry, [2]int{hours, hours}},
		{"--to-latest", [2]int{hours, hours}},
		{"--by-duration PT3H30M", [2]int{hours - 3, hours - 3}},
		{"--to-datetime " + start.UTC().Add(90*time.Minute).Format("2006-01-02T15:04:05.000Z"), [2]int{2, 2}},
		{"--from-file " + filepath.Clean(file.Name()), [2]int{21, 22}},
	} {
		args := append([]string{"--reset-offsets", "--group", group}, strings.Fields(r.how)...)
		if !strings.Contains(r.how, "--from-file") {
			args = append(args, "--topic", topic+":0,1")
		}
		if !strings.Contains(r.how, dry) {
			args = append(args, "--execute")
		}
		out, err := groupTool(ctx, e, args...)
		row := `(?m)^` + regexp.QuoteMeta(group) + `\s+` + topic + `\s+%d\s+%d\s*$`
		if err := jvm.WantMatch(out, err, fmt.Sprintf(row, 0, r.want[0]), fmt.Sprintf(row, 1, r.want[1])); err != nil {
			return fmt.Errorf("%s: %w", r.how, err)
		}
		if strings.Contains(r.how, dry) {
			continue
		}
		if err := committed(ctx, admin, group, topic, r.want[:]); err != nil {
			return fmt.Errorf("%s: %w", r.how, err)
		}
	}
	return errors.Join(export(ctx, e, group, topic, other), deleted(ctx, e, admin, group, topic, other))
}

// hourly makes topics whose records are an hour apart; record n of each partition is n hours after start.
func hourly(ctx context.Context, c *kgo.Client, start time.Time, topics ...string) error {
	var records []*kgo.Record
	for _, topic := range topics {
		if err := create(ctx, c, topic, partitions); err != nil {
			return err
		}
		for i := range hours {
			for p := range int32(partitions) {
				records = append(records, &kgo.Record{Topic: topic, Partition: p, Timestamp: start.Add(time.Duration(i) * time.Hour), Value: []byte(strconv.Itoa(i))})
			}
		}
	}
	return c.ProduceSync(ctx, records...).FirstErr()
}

func committed(ctx context.Context, a *kadm.Client, group, topic string, want []int) error {
	got, err := a.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p, at := range want {
		if o, ok := got.Lookup(topic, int32(p)); !ok || o.At != int64(at) {
			return fmt.Errorf("committed of %s-%d is %+v, want %d", topic, p, o, at)
		}
	}
	return nil
}

// export prints what the reset of all topics that the group has would be, in the form that --from-file takes.
func export(ctx context.Context, e *driver.Env, group, topic, other string) error {
	out, err := groupTool(ctx, e, "--reset-offsets", "--group", group, "--all-topics", "--to-current", "--export", "--dry-run")
	return jvm.WantMatch(out, err, `(?m)^"?`+topic+`"?,0,21$`, `(?m)^"?`+topic+`"?,1,22$`, `(?m)^"?`+other+`"?,0,9$`)
}

// deleted: offsets of one topic, then the group.
func deleted(ctx context.Context, e *driver.Env, a *kadm.Client, group, topic, other string) error {
	out, err := groupTool(ctx, e, "--delete-offsets", "--group", group, "--topic", topic+":0", "--topic", other)
	if err := jvm.WantMatch(out, err, `Request succeeded for deleting offsets`, topic+`\s+0\s+Successful`, other+`\s+0\s+Successful`); err != nil {
		return err
	}
	got, err := a.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	left := 0
	got.Each(func(kadm.OffsetResponse) { left++ })
	if err := errors.Join(driver.Want("offsets left", left, 1), committed(ctx, a, group, topic, nil)); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--describe", "--group", group, "--state")
	if err := jvm.WantMatch(out, err, regexp.QuoteMeta(group)+`\s.*Empty\s+0`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--delete", "--group", group)
	if err := jvm.WantMatch(out, err, `was successful`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--describe", "--group", group)
	return jvm.WantMatch(out, err, `GroupIdNotFoundException`)
}
