package image

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// randomCommand draws a command that may or may not fit the image.
func randomCommand(t *rapid.T) *command.Command {
	n := rapid.IntRange(0, 5).Draw(t, "topic")
	id := topicID(n)
	epoch := int32(rapid.IntRange(0, 3).Draw(t, "epoch"))
	isr := rapid.SampledFrom([][]int32{{1}, {2}, {1, 2}}).Draw(t, "isr")
	as := []*command.Assignment{{Replicas: []int32{1, 2}, Isr: isr, Leader: isr[0]}}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0, 1:
		return command.Create(&command.CreateTopic{Name: fmt.Sprintf("t%c%d", rapid.SampledFrom([]byte("._x")).Draw(t, "sep"), n), TopicId: id[:], Assignments: as})
	case 2:
		return command.Delete(id)
	case 3:
		return command.Assign(id, int32(rapid.IntRange(1, 3).Draw(t, "first")), as)
	case 4:
		return command.Lead(&command.SetPartitionLeader{TopicId: id[:], ExpectedPartitionEpoch: epoch, Leader: isr[0], Isr: isr})
	case 5:
		return command.ISR(&command.UpdateISR{TopicId: id[:], ExpectedPartitionEpoch: epoch, LeaderEpoch: epoch, Isr: []int32{1, 2}})
	case 6:
		return command.TopicConfig(id, command.Values(map[string]string{"k": fmt.Sprint(epoch)}), []string{"gone"})
	case 7:
		return node(int32(rapid.IntRange(1, 3).Draw(t, "node")))
	case 8:
		return command.NodeConfig(model.BrokerID(n), command.Values(map[string]string{"k": fmt.Sprint(epoch)}), nil)
	case 9:
		return command.GroupConfig(fmt.Sprint("g", n), command.Values(map[string]string{"k": fmt.Sprint(epoch)}), nil)
	case 10:
		return command.GroupConfig(fmt.Sprint("g", n), nil, []string{"k"})
	}
	return command.ClusterConfig(nil, []string{"k"})
}

func snapshotOf(t *rapid.T, m *Image) []byte {
	data, err := EncodeSnapshot(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestM2EqualIndexEqualImage applies random batches and checks, after each one, that
//   - a second run over the encoded entries gives the same image (M2), and so does a snapshot taken anywhere;
//   - no earlier image has changed (structural sharing never mutates);
//   - the delta is exactly the difference between the two images.
func TestM2EqualIndexEqualImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _, err := Apply(New("c"), batch(node(1), node(2)), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		replica, held, bytesOf := m, []*Image{m}, [][]byte{snapshotOf(t, m)}
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			cs := rapid.SliceOfN(rapid.Custom(randomCommand), 1, 4).Draw(t, "batch")
			entry, err := command.Encode("c", cs)
			if err != nil {
				t.Fatal(err)
			}
			next, d, err := Apply(m, cs, 1, m.Index()+1)
			if err != nil && !IsConflict(err) {
				t.Skip("a set of replicas that no controller would choose")
			}
			checkDelta(t, m, next, d)
			decoded, derr := command.Decode("c", entry)
			if derr != nil {
				t.Fatal(derr)
			}
			if rapid.Bool().Draw(t, "restart from a snapshot") {
				if replica, derr = DecodeSnapshot("c", snapshotOf(t, replica)); derr != nil {
					t.Fatal(derr)
				}
			}
			replica, _, derr = Apply(replica, decoded, 1, replica.Index()+1)
			if IsConflict(err) != IsConflict(derr) || !bytes.Equal(snapshotOf(t, next), snapshotOf(t, replica)) {
				t.Fatalf("two nodes differ at index %d (%v, %v)", next.Index(), err, derr)
			}
			m = next
			held, bytesOf = append(held, m), append(bytesOf, snapshotOf(t, m))
		}
		for i, old := range held {
			if !bytes.Equal(snapshotOf(t, old), bytesOf[i]) {
				t.Fatalf("the image at index %d changed afterwards", old.Index())
			}
		}
	})
}

// checkDelta compares the delta with the difference of the two images, found the slow way.
func checkDelta(t *rapid.T, from, to *Image, d *Delta) {
	created, deleted, parts := map[model.TopicID]bool{}, map[model.TopicID]bool{}, map[string]bool{}
	count := 0
	for topic := range to.Topics() {
		count += len(topic.Partitions)
		old := from.TopicByID(topic.ID)
		if old == nil || old.Name != topic.Name {
			created[topic.ID] = true
			continue
		}
		for i, p := range topic.Partitions {
			if i >= len(old.Partitions) || old.Partitions[i] != p {
				parts[fmt.Sprint(topic.Name, i)] = true
			}
		}
		if to.Topic(topic.Name) != topic {
			t.Fatalf("%s is not found by its name", topic.Name)
		}
	}
	for topic := range from.Topics() {
		if now := to.TopicByID(topic.ID); now == nil || now.Name != topic.Name {
			deleted[topic.ID] = true
		}
	}
	if count != to.PartitionCount() {
		t.Fatalf("%d partitions counted, the image says %d", count, to.PartitionCount())
	}
	for _, id := range append(from.ConfiguredGroups(), to.ConfiguredGroups()...) {
		if !maps.Equal(from.GroupConfigs(id), to.GroupConfigs(id)) && !slices.Contains(d.GroupConfigs, id) {
			t.Fatalf("the values of group %s changed, and the delta says %v", id, d.GroupConfigs)
		}
	}
	if recreated(d) {
		return // the same ID deleted and created in one batch is more than the two ends show
	}
	if len(created) != len(d.TopicsCreated) || len(deleted) != len(d.TopicsDeleted) || len(parts) != len(d.Partitions) {
		t.Fatalf("delta has %d created, %d deleted, %d partitions; the images differ by %d, %d, %d",
			len(d.TopicsCreated), len(d.TopicsDeleted), len(d.Partitions), len(created), len(deleted), len(parts))
	}
	for _, c := range d.Partitions {
		if !parts[fmt.Sprint(c.Topic.Name, c.Partition)] || to.TopicByID(c.Topic.ID) != c.Topic || c.Topic.Partitions[c.Partition] != c.New {
			t.Fatalf("delta names %s-%d wrongly", c.Topic.Name, c.Partition)
		}
	}
}

func recreated(d *Delta) bool {
	for _, a := range d.TopicsDeleted {
		for _, b := range d.TopicsCreated {
			if a.ID == b.ID {
				return true
			}
		}
	}
	return false
}
