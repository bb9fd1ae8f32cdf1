package main

import (
	"context"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// groupConfigs gives a group that does not exist values of its own, and takes them away again.
func groupConfigs(ctx context.Context, e *driver.Env) error {
	on := []string{"--entity-type", "groups", "--entity-name", e.Topic("configured")}
	out, err := configTool(ctx, e, append(on, "--alter", "--add-config", "consumer.session.timeout.ms=50000,share.auto.offset.reset=earliest")...)
	if err := jvm.WantMatch(out, err, `Completed updating config`); err != nil {
		return err
	}
	set := []string{
		`consumer.session.timeout.ms=50000 sensitive=false synonyms=\{DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000, DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000\}`,
		`share.auto.offset.reset=earliest sensitive=false synonyms=\{DYNAMIC_GROUP_CONFIG:share.auto.offset.reset=earliest, DEFAULT_CONFIG:share.auto.offset.reset=latest\}`,
	}
	out, err = configTool(ctx, e, append(on, "--describe")...)
	if err := jvm.WantMatch(out, err, set...); err != nil {
		return err
	}
	out, err = configTool(ctx, e, append(on, "--describe", "--all")...)
	if err := jvm.WantMatch(out, err, append(set, `streams.num.standby.replicas=0 sensitive=false synonyms=\{DEFAULT_CONFIG:group.streams.num.standby.replicas=0\}`)...); err != nil {
		return err
	}
	_, err = configTool(ctx, e, append(on, "--alter", "--add-config", "consumer.session.timeout.ms=1")...)
	if err := driver.WantError(err, "must be greater than or equal to group.consumer.min.session.timeout.ms"); err != nil {
		return err
	}
	out, err = configTool(ctx, e, append(on, "--alter", "--delete-config", "consumer.session.timeout.ms,share.auto.offset.reset")...)
	if err := jvm.WantMatch(out, err, `Completed updating config`); err != nil {
		return err
	}
	out, err = configTool(ctx, e, append(on, "--describe")...)
	return jvm.WantMatch(out, err, `doesn't exist and doesn't have dynamic config`)
}
