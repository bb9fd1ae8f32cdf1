package command

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"chronik/internal/model"
)

func added(f ...*FeatureRange) *Command {
	return Add(&AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16), Features: f})
}

func change(replicas ...int32) *Command {
	return Change(model.NewTopicID(), []*PartitionChange{{Leader: 1, Replicas: replicas, Isr: replicas}})
}

// A batch has the lowest version that its content needs: a node alone writes what the program before it can read.
func TestBatchesHaveTheLowestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		commands []*Command
		want     uint32
	}{
		"standalone": {[]*Command{create("t"), added(), Fence(1, 1, true), Feature(MetadataVersion, 2)}, VersionStandalone},
		"features":   {[]*Command{create("t"), added(&FeatureRange{Name: "f", MaxLevel: 1})}, VersionCluster},
		"changes":    {[]*Command{change(1)}, VersionCluster},
		"stop":       {[]*Command{Stop(1, 1)}, VersionCluster},
	} {
		data, err := Encode("c", c.commands)
		if err != nil {
			t.Fatal(name, err)
		}
		var b Batch
		if err := proto.Unmarshal(data, &b); err != nil || b.FormatVersion != c.want {
			t.Errorf("%s: version %d (%v), want %d", name, b.FormatVersion, err, c.want)
		}
		if _, err := Decode("c", data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A batch that claims an older version than its content needs would be read by programs that cannot.
func TestM3AVersionThatIsTooLowIsRefused(t *testing.T) {
	data, err := Marshal(&Batch{FormatVersion: VersionStandalone, ClusterId: "c", Commands: []*Command{change(1, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode("c", data); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "needs 2") {
		t.Errorf("error %v, want ErrFormat", err)
	}
}

func TestEncodeRefusesIncompleteClusterCommands(t *testing.T) {
	for name, c := range map[string]*Command{
		"no changes":         Change(model.NewTopicID(), nil),
		"no replicas":        change(),
		"stop":               Stop(-1, 1),
		"feature without":    added(&FeatureRange{MaxLevel: 1}),
		"feature range":      added(&FeatureRange{Name: "f", MinLevel: 2, MaxLevel: 1}),
		"features disorder":  added(&FeatureRange{Name: "g", MaxLevel: 1}, &FeatureRange{Name: "f", MaxLevel: 1}),
		"features repeating": added(&FeatureRange{Name: "f", MaxLevel: 1}, &FeatureRange{Name: "f", MaxLevel: 1}),
	} {
		if _, err := Encode("c", []*Command{c}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

// The bytes of a version do not change.
func TestGoldenBytes(t *testing.T) {
	last := int32(2)
	id := model.TopicID{1, 15: 2}
	data, err := Encode("c", []*Command{Change(id, []*PartitionChange{{Partition: 3, ExpectedPartitionEpoch: 4, BeginsLeaderEpoch: true, Leader: -1,
		Replicas: []int32{1, 2, 3}, Isr: []int32{1}, Elr: []int32{2}, Adding: []int32{3}, LastKnownLeader: &last, Cut: []*CutLog{{NodeId: 1, EndOffset: 9}}, Unclean: true}}), Stop(1, 7)})
	if err != nil {
		t.Fatal(err)
	}
	const want = "0802120163" + "1a3f623d0a1001000000000000000000000000000002" + // version, cluster, command, topic ID
		"12290803100418" + "0120ffffffffffffffffff01" + "2a03010203" + "320101" + "3a0102" + "420103" + "5002" + "5a0408011009" + "6001" + "1a066a0408011007"
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
