package command

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"chronik/internal/model"
)

func create(name string) *Command {
	id := model.NewTopicID()
	return Create(&CreateTopic{Name: name, TopicId: id[:], Assignments: []*Assignment{{Replicas: []int32{1}, Leader: 1}},
		Configs: Values(map[string]string{"b": "2", "a": "1"})})
}

func TestRoundTrip(t *testing.T) {
	in := []*Command{
		create("t"), Delete(model.NewTopicID()), Feature("f", 1), ClusterConfig(Values(map[string]string{"k": "v"}), nil),
		Add(&AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16),
			Endpoints: []*Endpoint{{Listener: "PLAINTEXT", Host: "localhost", Port: 9092}}}),
	}
	data, err := Encode("c", in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Decode("c", data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode("c", out)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("not the same bytes after a round trip: %v", err)
	}
}

// M3: what is unknown is refused, at whatever depth, not skipped.
func TestM3UnknownIsRefused(t *testing.T) {
	good, err := Encode("c", []*Command{create("t")})
	if err != nil {
		t.Fatal(err)
	}
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("new"))
	inCommand, _ := proto.Marshal(&Batch{FormatVersion: 1, ClusterId: "c"})
	inCommand = protowire.AppendBytes(protowire.AppendTag(inCommand, 3, protowire.BytesType), unknown)
	var deep Batch
	if err := proto.Unmarshal(good, &deep); err != nil {
		t.Fatal(err)
	}
	deep.Commands[0].GetCreateTopic().Assignments[0].ProtoReflect().SetUnknown(unknown)
	inAssignment, _ := proto.Marshal(&deep)
	next, _ := proto.Marshal(&Batch{FormatVersion: FormatVersion + 1, ClusterId: "c", Commands: []*Command{create("t")}})
	empty, _ := proto.Marshal(&Batch{FormatVersion: 1, ClusterId: "c"})
	short, _ := proto.Marshal(&Batch{FormatVersion: 1, ClusterId: "c", Commands: []*Command{
		{Kind: &Command_DeleteTopic{&DeleteTopic{TopicId: []byte("short")}}}}})
	for name, data := range map[string][]byte{
		"field in the batch": append(bytes.Clone(good), unknown...), "kind of command": inCommand, "field deep inside": inAssignment,
		"format version": next, "no commands": empty, "short ID": short, "rubbish": []byte("rubbish"), "nothing": nil,
	} {
		if _, err := Decode("c", data); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
	if _, err := Decode("other", good); !errors.Is(err, ErrCluster) {
		t.Errorf("another cluster: error %v, want ErrCluster", err)
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	for name, c := range map[string]*Command{
		"no kind":       {},
		"negative node": Remove(-1, 1),
		"bad name":      create("a b"),
		"no config":     ClusterConfig(nil, nil),
		"block":         ProducerIDs(&AllocateProducerIDs{NodeId: 1, First: -1, Count: 1}),
		"level":         Feature("", 1),
	} {
		if _, err := Encode("c", []*Command{c}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := Encode("c", []*Command{create("t"), Fence(1, 2, true)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		cmds, err := Decode("c", data)
		if err != nil {
			return
		}
		if _, err := Encode("c", cmds); err != nil {
			t.Errorf("decoded but does not encode: %v", err)
		}
	})
}

// BenchmarkDecode is for 10,000 partitions in one entry.
func BenchmarkDecode(b *testing.B) {
	as := make([]*Assignment, 10_000)
	for i := range as {
		as[i] = &Assignment{Replicas: []int32{1, 2, 3}, Leader: 1}
	}
	id := model.NewTopicID()
	data, err := Encode("c", []*Command{Create(&CreateTopic{Name: "t", TopicId: id[:], Assignments: as})})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode("c", data); err != nil {
			b.Fatal(err)
		}
	}
}
