package config

import (
	"fmt"
	"testing"
)

func TestApply(t *testing.T) {
	for _, c := range []struct {
		current string // cleanup.policy, "-" if not set
		op      OpType
		value   string
		want    string
	}{
		{"-", OpAppend, "compact", "delete,compact"},
		{"delete,compact", OpAppend, "compact", "no change"},
		{"delete,compact", OpSubtract, "delete", "compact"},
		{"compact", OpSubtract, "compact", ""},
		{"compact", OpDelete, "", "deleted"},
		{"-", OpDelete, "", "no change"},
		{"compact", OpSet, "delete", "delete"},
		{"compact", OpSet, "compact", "no change"},
		{"-", OpAppend, "nope", "Invalid value nope for configuration cleanup.policy: String must be one of: compact, delete"},
		{"-", OpType(9), "x", "Unknown operation OpType(9) on key cleanup.policy."},
	} {
		current := map[string]string{}
		if c.current != "-" {
			current["cleanup.policy"] = c.current
		}
		changes, err := Apply(ScopeTopic, current, []Op{{"cleanup.policy", c.op, c.value}})
		got := "no change"
		switch {
		case err != nil:
			got = err.Error()
		case len(changes) == 1 && changes[0].Deleted:
			got = "deleted"
		case len(changes) == 1:
			got = changes[0].Value
		}
		if got != c.want {
			t.Errorf("%s of %q on %q: %q, want %q", c.op, c.value, c.current, got, c.want)
		}
	}
	for want, ops := range map[string][]Op{
		"Can't APPEND to key retention.ms because its type is not LIST.": {{"retention.ms", OpAppend, "5"}},
		"Unknown topic config name: foo":                                 {{"foo", OpSet, "5"}},
		"Error due to duplicate config keys: retention.ms":               {{"retention.ms", OpSet, "5"}, {"retention.ms", OpSet, "6"}},
	} {
		if _, err := Apply(ScopeTopic, nil, ops); err == nil || err.Error() != want {
			t.Errorf("%v: error %v, want %s", ops, err, want)
		}
	}
}

func TestReplaceUnsetsTheRest(t *testing.T) {
	current := map[string]string{"retention.ms": "100", "segment.bytes": "1048577"}
	changes, err := Replace(ScopeTopic, current, map[string]string{"retention.bytes": "100", "retention.ms": "100"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(changes); got != "[{retention.bytes 100 false} {segment.bytes  true}]" {
		t.Errorf("changes %s", got)
	}
	if got := fmt.Sprint(Merged(current, changes)); got != "map[retention.bytes:100 retention.ms:100]" {
		t.Errorf("merged %s", got)
	}
}

func TestCheckDynamic(t *testing.T) {
	err := CheckDynamic([]Change{{Name: "num.partitions", Value: "5"}}, false)
	if err == nil || err.Error() != "Cannot update these configs dynamically: [num.partitions]" {
		t.Errorf("read-only key: %v", err)
	}
	if err := CheckDynamic([]Change{{Name: "log.retention.ms", Value: "5"}}, true); err != nil {
		t.Errorf("cluster-wide key: %v", err)
	}
}
