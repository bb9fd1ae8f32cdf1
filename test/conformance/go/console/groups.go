package main

import (
	"context"
	"fmt"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

func groupTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", jvm.WithServer(e, args...)...)
}

// consumerGroups: the console consumer reads in a group, goes on where it was, and the groups' tool shows, resets and deletes what it has left.
func consumerGroups(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	group := "group-" + e.Client
	read := func(n int) (string, error) {
		return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", jvm.WithServer(e, "--topic", t.Name, "--group", group, "--from-beginning",
			"--max-messages", fmt.Sprint(n), "--timeout-ms", "20000", "--formatter-property", "print.offset=true")...)
	}
	out, err := read(400)
	if err := jvm.WantMatch(out, err, `(?m)^Offset:0\t`, `(?m)^Offset:399\t`); err != nil {
		return err
	}
	out, err = read(10)
	if err := jvm.WantMatch(out, err, `(?m)^Offset:400\t`, `(?m)^Offset:409\t`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--describe", "--group", group)
	if err := jvm.WantMatch(out, err, fmt.Sprintf(`%s\s+%s\s+0\s+410\s+%d\s+%d\s+-`, group, t.Name, e.Records, e.Records-410)); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--reset-offsets", "--group", group, "--topic", t.Name, "--to-offset", "123", "--execute")
	if err := jvm.WantMatch(out, err, `(?m)`+t.Name+`\s+0\s+123\s*$`); err != nil {
		return err
	}
	if err := offsetsRecord(ctx, e, group, t.Name); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--list", "--state")
	if err := jvm.WantMatch(out, err, `(?m)^`+group+`\s.*Empty`); err != nil {
		return err
	}
	out, err = groupTool(ctx, e, "--delete", "--group", group)
	return jvm.WantMatch(out, err, `was successful`)
}

// offsetsRecord: Kafka's formatter reads what is in the coordinators' log.
func offsetsRecord(ctx context.Context, e *driver.Env, group, topic string) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", jvm.WithServer(e, "--topic", "__consumer_offsets", "--from-beginning",
		"--timeout-ms", "2000", "--group", group+"-reader", "--formatter", "org.apache.kafka.tools.consumer.OffsetsMessageFormatter")...)
	return jvm.WantMatch(out, err, fmt.Sprintf(`"group":%q,"topic":%q,"partition":0.*"offset":123`, group, topic))
}
