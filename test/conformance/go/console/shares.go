package main

import (
	"context"
	"fmt"
	"time"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// sharesLimit is for a dozen of tools, one after the other.
const sharesLimit = 4 * time.Minute

func shareTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.group.ShareGroupCommand", jvm.WithServer(e, args...)...)
}

// shareGroups: the console's share consumer takes records, the next one goes on with those that are left, and the share groups' tool shows, resets and deletes
// what they have left.
func shareGroups(ctx context.Context, e *driver.Env) error {
	topic, group := e.Topic("shared"), "share-"+e.Client
	if _, err := topicTool(ctx, e, "--create", "--topic", topic, "--partitions", "1"); err != nil {
		return err
	}
	var lines []byte
	for i := range 20 {
		lines = fmt.Appendf(lines, "%d\n", i)
	}
	if _, err := jvm.Tool(ctx, e, lines, "org.apache.kafka.tools.ConsoleProducer", jvm.WithServer(e, "--topic", topic)...); err != nil {
		return err
	}
	read := func(n int, more ...string) (string, error) {
		return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleShareConsumer", jvm.WithServer(e, append(more, "--topic", topic, "--group", group,
			"--max-messages", fmt.Sprint(n), "--timeout-ms", "20000", "--formatter-property", "print.delivery=true")...)...)
	}
	at := func(start, lag int) error {
		out, err := shareTool(ctx, e, "--describe", "--group", group)
		return jvm.WantMatch(out, err, fmt.Sprintf(`%s\s+%s\s+0\s+%d\s+%d\s`, group, topic, start, lag))
	}
	reset := func(more ...string) error {
		out, err := shareTool(ctx, e, append(more, "--reset-offsets", "--group", group, "--topic", topic)...)
		return jvm.WantMatch(out, err, fmt.Sprintf(`%s\s+%s\s+0\s+0\s`, group, topic))
	}
	if err := reset("--to-earliest", "--dry-run"); err != nil {
		return err
	}
	if err := noShareGroup(ctx, e, group); err != nil {
		return err
	}
	if err := reset("--to-earliest", "--execute"); err != nil {
		return err
	}
	if err := at(0, 20); err != nil {
		return err
	}
	out, err := read(8)
	if err := jvm.WantMatch(out, err, `(?m)^Delivery:1\t0$`, `(?m)^Delivery:1\t7$`, `Processed a total of 8 messages`); err != nil {
		return err
	}
	if err := at(8, 12); err != nil {
		return err
	}
	out, err = read(4, "--release") // the one before had them already, and went
	if err := jvm.WantMatch(out, err, `(?m)^Delivery:[2-9]\t8$`); err != nil {
		return err
	}
	if err := at(8, 12); err != nil {
		return err
	}
	out, err = read(4, "--reject")
	if err := jvm.WantMatch(out, err, `(?m)^Delivery:[3-9]\t8$`, `(?m)^Delivery:[3-9]\t11$`); err != nil {
		return err
	}
	if err := at(12, 8); err != nil {
		return err
	}
	return endShares(ctx, e, group, topic)
}

// endShares: what is left of a group without members is shown, then deleted; Kafka's formatter reads what is in the coordinators' log.
func endShares(ctx context.Context, e *driver.Env, group, topic string) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", jvm.WithServer(e, "--topic", "__share_group_state", "--from-beginning",
		"--timeout-ms", "2000", "--formatter", "org.apache.kafka.tools.consumer.group.share.ShareGroupStateMessageFormatter")...)
	if err := jvm.WantMatch(out, err, fmt.Sprintf(`"groupId":%q.*"startOffset":12`, group)); err != nil {
		return err
	}
	out, err = shareTool(ctx, e, "--describe", "--group", group, "--state")
	if err := jvm.WantMatch(out, err, group+`\s.*Empty\s+0\s`); err != nil {
		return err
	}
	out, err = shareTool(ctx, e, "--list", "--state", "empty")
	if err := jvm.WantMatch(out, err, `(?m)^`+group+`\s+Empty`); err != nil {
		return err
	}
	out, err = shareTool(ctx, e, "--delete-offsets", "--group", group, "--topic", topic)
	if err := jvm.WantMatch(out, err, topic+`\s+Successful`); err != nil {
		return err
	}
	out, err = shareTool(ctx, e, "--describe", "--group", group)
	if err := jvm.WantMatch(out, err, `has no offset information`); err != nil {
		return err
	}
	out, err = shareTool(ctx, e, "--delete", "--group", group)
	if err := jvm.WantMatch(out, err, `was successful`); err != nil {
		return err
	}
	return noShareGroup(ctx, e, group)
}

// noShareGroup: there is no such group, which the tool says and does not fail for.
func noShareGroup(ctx context.Context, e *driver.Env, group string) error {
	out, err := shareTool(ctx, e, "--describe", "--group", group)
	return jvm.WantMatch(out, err, `GroupIdNotFoundException`)
}
