package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// An event is a line of the verifiable consumer.
type event struct {
	member     int
	Name       string
	Success    bool
	Error      string
	Partitions []struct {
		Topic                string
		Partition            int32
		MinOffset, MaxOffset int64
	}
	Offsets []struct {
		Topic     string
		Partition int32
		Offset    int64
	}
}

// A pair is a group of two verifiable consumers, as they tell of it.
type pair struct {
	members   []*jvm.Process
	events    chan event
	over      chan struct{} // closed when nobody takes events any more
	assigned  [2]map[int32]bool
	next      map[int32]int64 // what was taken, up to
	committed map[int32]int64
}

// verifiable: two consumers share what a producer writes, and commit it; tools see them at it.
func verifiable(ctx context.Context, e *driver.Env, protocol string) error {
	topic, group := e.Topic("verifiable-"+protocol), "group-"+e.Client+"-verifiable-"+protocol
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := create(ctx, c, topic, partitions); err != nil {
		return err
	}
	g := &pair{events: make(chan event), over: make(chan struct{}), next: map[int32]int64{}, committed: map[int32]int64{}}
	defer func() {
		close(g.over)
		for _, m := range g.members {
			m.Kill()
		}
	}()
	for n := range g.assigned {
		g.assigned[n] = map[int32]bool{}
		m, err := jvm.StartReading(ctx, e, g.listen(n), fmt.Sprintf("verifiable-%s-%d", protocol, n), "org.apache.kafka.tools.VerifiableConsumer",
			jvm.WithServer(e, "--topic", topic, "--group-id", group, "--group-protocol", protocol, "--reset-policy", "earliest")...)
		if err != nil {
			return err
		}
		g.members = append(g.members, m)
	}
	if err := g.until(ctx, "both have partitions", func() bool {
		return len(g.assigned[0]) > 0 && len(g.assigned[1]) > 0 && len(g.assigned[0])+len(g.assigned[1]) == partitions
	}); err != nil {
		return err
	}
	const n = 600
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.VerifiableProducer", jvm.WithServer(e, "--topic", topic,
		"--max-messages", fmt.Sprint(n), "--repeating-keys", "7", "--acks", "-1")...)
	if err := jvm.WantMatch(out, err, fmt.Sprintf(`"sent":%d`, n), fmt.Sprintf(`"acked":%d`, n)); err != nil {
		return err
	}
	if err := g.until(ctx, "all is taken and committed", func() bool { return total(g.next) == n && maps.Equal(g.next, g.committed) }); err != nil {
		return err
	}
	return errors.Join(describeActive(ctx, e, group, topic, protocol), groupLog(ctx, e, group, topic, protocol), g.stop(ctx),
		g.offsets(ctx, kadm.NewClient(c), group, topic))
}

func total(of map[int32]int64) (n int64) {
	for _, v := range of {
		n += v
	}
	return n
}

func (g *pair) listen(member int) func(string) {
	return func(line string) {
		v := event{member: member}
		if json.Unmarshal([]byte(line), &v) == nil {
			select {
			case g.events <- v:
			case <-g.over:
			}
		}
	}
}

// until takes events until something is true.
func (g *pair) until(ctx context.Context, what string, there func() bool) error {
	for !there() {
		select {
		case v := <-g.events:
			if err := g.take(v); err != nil {
				return err
			}
		case <-g.members[0].Ended():
			return g.members[0].Err()
		case <-g.members[1].Ended():
			return g.members[1].Err()
		case <-ctx.Done():
			return fmt.Errorf("it never came true that %s: %+v", what, *g)
		}
	}
	return nil
}

func (g *pair) take(v event) error {
	switch v.Name {
	case "partitions_assigned":
		for _, p := range v.Partitions {
			g.assigned[v.member][p.Partition] = true
		}
	case "partitions_revoked":
		for _, p := range v.Partitions {
			delete(g.assigned[v.member], p.Partition)
		}
	case "records_consumed":
		for _, p := range v.Partitions {
			if p.MinOffset != g.next[p.Partition] || !g.assigned[v.member][p.Partition] {
				return fmt.Errorf("member %d, which has %v, took partition %d from %d on, want %d", v.member, g.assigned[v.member], p.Partition, p.MinOffset, g.next[p.Partition])
			}
			g.next[p.Partition] = p.MaxOffset + 1
		}
	case "offsets_committed":
		if !v.Success {
			return fmt.Errorf("a commit failed: %s", v.Error)
		}
		for _, o := range v.Offsets {
			g.committed[o.Partition] = o.Offset
		}
	}
	return nil
}

// stop has both leave, with their last words.
func (g *pair) stop(ctx context.Context) error {
	stopped := make(chan error, len(g.members))
	for _, m := range g.members {
		go func() { stopped <- m.Stop() }()
	}
	var all error
	said := 0
	for left := len(g.members); left > 0; {
		select {
		case v := <-g.events:
			if v.Name == "shutdown_complete" {
				said++
			}
		case err := <-stopped:
			all = errors.Join(all, err)
			left--
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(all, driver.Want("consumers that said shutdown_complete", said, len(g.members)))
}

// offsets: what they said that they committed is what the group has.
func (g *pair) offsets(ctx context.Context, a *kadm.Client, group, topic string) error {
	got, err := a.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p, want := range g.committed {
		if o, ok := got.Lookup(topic, p); !ok || o.At != want {
			return fmt.Errorf("committed of partition %d is %d, want %d", p, o.At, want)
		}
	}
	return nil
}

// describeActive: what the groups' tool tells of a group with two members that have taken all.
func describeActive(ctx context.Context, e *driver.Env, group, topic, protocol string) error {
	name := regexp.QuoteMeta(group)
	out, err := groupTool(ctx, e, "--describe", "--group", group, "--offsets")
	row := `(?m)^` + name + `\s+` + topic + `\s+%d\s+(\d+)\s+(\d+)\s+0\s+\S+\s+/\S+\s+\S+\s*$`
	if err := jvm.WantMatch(out, err, fmt.Sprintf(row, 0), fmt.Sprintf(row, 1), fmt.Sprintf(row, 2)); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--describe", "--group", group, "--members", "--verbose")
	member := `(?m)^` + name + `\s+\S+\s+/\S+\s+\S+\s+%d\s`
	want := []string{fmt.Sprintf(member, 1), fmt.Sprintf(member, 2), topic + `[:(]`}
	if protocol == "consumer" {
		want = append(want, `CURRENT-EPOCH`, `TARGET-ASSIGNMENT`)
	}
	if err := jvm.WantMatch(out, err, want...); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--describe", "--group", group, "--state")
	assignor := map[string]string{"classic": "range", "consumer": "uniform"}[protocol]
	if err := jvm.WantMatch(out, err, `(?m)^`+name+`\s+\S+:\d+\s+\(\d+\)\s+`+assignor+`\s+Stable\s+2\s*$`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--list", "--state", "stable")
	if err := jvm.WantMatch(out, err, `(?m)^`+name+`\s+Stable`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--list", "--type", protocol)
	if err := jvm.WantMatch(out, err, `(?mi)^`+name+`\s+`+protocol); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
	if err == nil && !strings.Contains(out, "Assignments can only be reset if the group") {
		return fmt.Errorf("offsets of a group with members were reset: %s", out)
	}
	out, err = groupTool(ctx, e, "--delete", "--group", group)
	if err == nil && !strings.Contains(out, "GroupNotEmptyException") {
		return fmt.Errorf("a group with members was deleted: %s", out)
	}
	return nil
}

// groupLog: Kafka's formatters read the coordinator's log. The one of groups knows only those of the classic protocol.
func groupLog(ctx context.Context, e *driver.Env, group, topic, protocol string) error {
	of := `"group":"` + regexp.QuoteMeta(group) + `"`
	if protocol == "classic" {
		out, err := formatted(ctx, e, "__consumer_offsets", coordinatorPartition(group), "GroupMetadataMessageFormatter")
		return jvm.WantMatch(out, err, of+`.*"protocolType":"consumer","generation":\d+,"protocol":"range","leader":"[^"]+".*"members":\[\{"memberId":"[^"]+"`)
	}
	out, err := formatted(ctx, e, "__consumer_offsets", coordinatorPartition(group), "OffsetsMessageFormatter")
	return jvm.WantMatch(out, err, of+`,"topic":"`+topic+`","partition":2\}\},"value":\{"version":4,"data":\{"offset":\d+,"leaderEpoch":-1,"metadata":"","commitTimestamp":\d+`)
}
