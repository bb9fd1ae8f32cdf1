package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// world is a cluster whose decisions are applied at once, through the bytes of the log.
type world struct {
	t      testing.TB
	image  *image.Image
	static map[string]string
	ids    byte
	clock

	unclean []model.TopicPartition // elections of the last entry that were
}

func (w *world) inputs() Inputs {
	return Inputs{Image: w.image, Static: w.static, NodeID: 1, NewTopicID: func() model.TopicID {
		w.ids++
		return model.TopicID{15: w.ids}
	}}
}

// commit returns what image.Apply has to say against the commands.
func (w *world) commit(cs []*command.Command) string {
	if len(cs) == 0 {
		return ""
	}
	entry, err := command.Encode(w.image.ClusterID(), cs)
	if err != nil {
		w.t.Fatal(err)
	}
	if cs, err = command.Decode(w.image.ClusterID(), entry); err != nil {
		w.t.Fatal(err)
	}
	next, d, err := image.Apply(w.image, cs, 1, w.image.Index()+1)
	if err != nil {
		return fmt.Sprintf("not applied: %v\n", err)
	}
	checkStep(w.t, w.image, next, d)
	w.image, w.unclean = next, d.Unclean
	return ""
}

// TestScripts runs the scripts in testdata. A line of input is one item of a request: its name, then key=value. Those about
// clusters are explained at clusterScripts.
//
//	cluster [key=value]    a new cluster with these static broker keys
//	node                   id [fenced]: register, or register again
//	create [validate-only] name [partitions=] [rf=] [assign=0:1,2;1:2,3] [config key=value]
//	delete                 name, or id=n
//	partitions             name count= [assign=1,2;2,3]
//	alter, replace         topic|broker|group name, then op key=value; name "-" is empty
//	describe               topic: partitions and own values
//	producer-ids           node epoch=
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{t: t, image: image.New("cluster")}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			run, ok := w.scripts()[d.Cmd]
			if !ok {
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			out := run(d, parseItems(d.Input))
			if out == "" {
				return "ok\n"
			}
			return out
		})
	})
}

func (w *world) scripts() map[string]func(*datadriven.TestData, []item) string {
	all := w.clusterScripts()
	maps.Copy(all, map[string]func(*datadriven.TestData, []item) string{
		"cluster": w.cluster, "node": w.nodes, "create": w.create, "delete": w.delete, "partitions": w.more,
		"alter": w.alter, "replace": w.replace, "describe": w.describe, "producer-ids": w.producerIDs,
	})
	return all
}

// item is one line: words, and key=value in order.
type item struct {
	words []string
	keys  []string
	value map[string]string
}

func parseItems(input string) []item {
	var items []item
	for line := range strings.Lines(input) {
		it := item{value: map[string]string{}}
		for _, f := range strings.Fields(line) {
			if k, v, ok := strings.Cut(f, "="); ok {
				it.keys, it.value[k] = append(it.keys, k), v
			} else if f == "-" {
				it.words = append(it.words, "")
			} else {
				it.words = append(it.words, strings.ReplaceAll(f, "_SPACE_", " "))
			}
		}
		items = append(items, it)
	}
	return items
}

func (it item) number(t testing.TB, key string, absent int) int {
	v, ok := it.value[key]
	if !ok {
		return absent
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// text is the value, nil if it is NULL.
func text(v string) *string {
	if v == "NULL" {
		return nil
	}
	return &v
}

func numbers(t testing.TB, list string) []int32 {
	out := []int32{}
	for _, s := range config.SplitList(list) {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int32(n))
	}
	return out
}

func verdict(err error) string {
	var refusal *Refusal
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return fmt.Sprintf("%s: %s", refusal.Reason, refusal.Message)
	}
	return "error: " + err.Error()
}

func (w *world) cluster(_ *datadriven.TestData, items []item) string {
	w.image, w.static, w.ids, w.clock = image.New("cluster"), map[string]string{}, 0, clock{}
	for _, it := range items {
		maps.Copy(w.static, it.value)
	}
	return ""
}

func (w *world) nodes(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		id, _ := strconv.Atoi(it.words[0])
		r := Registration{ClusterID: "cluster", ID: model.BrokerID(id), Incarnation: image.UUID{byte(w.image.Index() + 1)},
			Directory: image.UUID{byte(it.number(w.t, "dir", 1))}, Rack: it.value["rack"]}
		if c, ok := it.value["cluster"]; ok {
			r.ClusterID = c
		}
		if n := it.number(w.t, "incarnation", 0); n != 0 {
			r.Incarnation = image.UUID{byte(n)}
		}
		cs, err := RegisterNode(w.inputs(), r)
		b.WriteString(w.commit(cs))
		if err != nil {
			fmt.Fprintf(&b, "%d: %s\n", id, verdict(err))
			continue
		}
		n := w.image.Node(r.ID)
		if slices.Contains(it.words, "fenced") {
			b.WriteString(w.commit([]*command.Command{command.Fence(n.ID, n.Epoch, true)}))
		}
		fmt.Fprintf(&b, "%d: epoch %d, %d commands\n", id, n.Epoch, len(cs))
	}
	return b.String()
}

func (w *world) create(d *datadriven.TestData, items []item) string {
	var topics []NewTopic
	for _, it := range items {
		nt := NewTopic{Name: it.words[0], Partitions: int32(it.number(w.t, "partitions", -1)), ReplicationFactor: int16(it.number(w.t, "rf", -1))}
		for _, k := range it.keys {
			switch k {
			case "partitions", "rf":
			case "assign":
				for _, a := range strings.Split(it.value[k], ";") {
					p, replicas, _ := strings.Cut(a, ":")
					nt.Assignments = append(nt.Assignments, Assignment{Partition: numbers(w.t, p)[0], Replicas: numbers(w.t, replicas)})
				}
			default:
				nt.Configs = append(nt.Configs, NewConfig{Name: k, Value: text(it.value[k])})
			}
		}
		topics = append(topics, nt)
	}
	cs, answers := CreateTopics(w.inputs(), topics, d.HasArg("validate-only"))
	var b strings.Builder
	for _, a := range answers {
		if a.Err != nil {
			fmt.Fprintf(&b, "%s: %s\n", a.Name, verdict(a.Err))
		} else {
			fmt.Fprintf(&b, "%s: partitions %d, rf %d, %d configs\n", a.Name, a.Partitions, a.ReplicationFactor, len(a.Configs))
		}
	}
	return b.String() + w.commit(cs)
}

func (w *world) delete(_ *datadriven.TestData, items []item) string {
	var refs []TopicRef
	for _, it := range items {
		ref := TopicRef{}
		if len(it.words) > 0 {
			ref.Name = it.words[0]
		}
		if n := it.number(w.t, "id", 0); n != 0 {
			ref.ID = model.TopicID{15: byte(n)}
		}
		refs = append(refs, ref)
	}
	cs, answers := DeleteTopics(w.inputs(), refs)
	var b strings.Builder
	for _, a := range answers {
		fmt.Fprintf(&b, "%s (%d): %s\n", a.Name, a.ID[15], verdict(a.Err))
	}
	return b.String() + w.commit(cs)
}

func (w *world) more(d *datadriven.TestData, items []item) string {
	var requests []NewPartitions
	for _, it := range items {
		r := NewPartitions{Topic: it.words[0], Count: int32(it.number(w.t, "count", 0))}
		if a, ok := it.value["assign"]; ok {
			for _, replicas := range strings.Split(a, ";") {
				r.Assignments = append(r.Assignments, numbers(w.t, replicas))
			}
		}
		requests = append(requests, r)
	}
	cs, errs := CreatePartitions(w.inputs(), requests, d.HasArg("validate-only"))
	var b strings.Builder
	for i, err := range errs {
		fmt.Fprintf(&b, "%s: %s\n", requests[i].Topic, verdict(err))
	}
	return b.String() + w.commit(cs)
}

func resource(it item) Resource {
	types := map[string]ResourceType{"topic": TopicResource, "broker": BrokerResource, "group": GroupResource}
	return Resource{Type: types[it.words[0]], Name: it.words[1]}
}

func (w *world) alter(d *datadriven.TestData, items []item) string {
	ops := map[string]config.OpType{"set": config.OpSet, "delete": config.OpDelete, "append": config.OpAppend, "subtract": config.OpSubtract, "odd": 9}
	var requests []Incremental
	for _, it := range items {
		r := Incremental{Resource: resource(it)}
		for _, k := range it.keys {
			r.Ops = append(r.Ops, ConfigOp{Name: k, Type: ops[it.words[2]], Value: text(it.value[k])})
		}
		requests = append(requests, r)
	}
	cs, errs := IncrementalAlterConfigs(w.inputs(), requests, d.HasArg("validate-only"))
	return w.altered(items, cs, errs)
}

func (w *world) replace(d *datadriven.TestData, items []item) string {
	var requests []Full
	for _, it := range items {
		r := Full{Resource: resource(it)}
		for _, k := range it.keys {
			r.Configs = append(r.Configs, NewConfig{Name: k, Value: text(it.value[k])})
		}
		requests = append(requests, r)
	}
	cs, errs := AlterConfigs(w.inputs(), requests, d.HasArg("validate-only"))
	return w.altered(items, cs, errs)
}

func (w *world) altered(items []item, cs []*command.Command, errs []error) string {
	var b strings.Builder
	for i, err := range errs {
		fmt.Fprintf(&b, "%s %s: %s\n", items[i].words[0], items[i].words[1], verdict(err))
	}
	b.WriteString(w.commit(cs))
	for i, it := range items {
		if errs[i] != nil {
			continue
		}
		r := resource(it)
		now := w.image.ClusterConfigs()
		switch id, _ := strconv.Atoi(r.Name); {
		case r.Type == TopicResource:
			now = w.image.Topic(r.Name).Configs
		case r.Type == GroupResource:
			now = w.image.GroupConfigs(r.Name)
		case r.Name != "":
			now = w.image.NodeConfigs(model.BrokerID(id))
		}
		fmt.Fprintf(&b, "  now %v\n", now)
	}
	return b.String()
}

func (w *world) describe(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		t := w.image.Topic(it.words[0])
		if t == nil {
			fmt.Fprintf(&b, "%s: none\n", it.words[0])
			continue
		}
		fmt.Fprintf(&b, "%s %v\n", t.Name, t.Configs)
		for i, p := range t.Partitions {
			fmt.Fprintf(&b, "  %d: replicas %v isr %v leader %d epoch %d\n", i, p.Replicas, p.ISR, p.Leader, p.LeaderEpoch)
		}
	}
	return b.String()
}

func (w *world) producerIDs(_ *datadriven.TestData, items []item) string {
	var b strings.Builder
	for _, it := range items {
		id, _ := strconv.Atoi(it.words[0])
		cs, block, err := AllocateProducerIDs(w.inputs(), model.BrokerID(id), int64(it.number(w.t, "epoch", 0)))
		b.WriteString(w.commit(cs))
		if err != nil {
			fmt.Fprintf(&b, "%s\n", verdict(err))
			continue
		}
		fmt.Fprintf(&b, "%d to %d\n", block.First, int64(block.First)+block.Count-1)
	}
	return b.String()
}

// Many partitions in one decision, one entry and one image.
func TestTenThousandPartitionsAtOnce(t *testing.T) {
	w := &world{t: t, image: image.New("cluster")}
	w.nodes(nil, parseItems("1"))
	cs, answers := CreateTopics(w.inputs(), []NewTopic{{Name: "big", Partitions: 10_000, ReplicationFactor: 1}}, false)
	if answers[0].Err != nil {
		t.Fatal(answers[0].Err)
	}
	if out := w.commit(cs); out != "" || w.image.PartitionCount() != 10_000 {
		t.Fatalf("%s%d partitions", out, w.image.PartitionCount())
	}
	_, answers = CreateTopics(w.inputs(), []NewTopic{{Name: "a", Partitions: MaxPartitionsPerRequest, ReplicationFactor: 1}, {Name: "b", Partitions: 1, ReplicationFactor: 1}}, false)
	if answers[0].Err != nil || answers[1].Err == nil {
		t.Errorf("the limit holds for the whole request: %v, %v", answers[0].Err, answers[1].Err)
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	for r := InvalidRequest; r <= Settling; r++ {
		if strings.HasPrefix(r.String(), "Reason(") || r.String() == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
}

// M4: what can never work is refused, not capped; an inherited default is nobody's mistake.
func TestM4ImpossibleMinISRIsRefused(t *testing.T) {
	for _, c := range []struct {
		own, inherited string
		refused        bool
	}{{"2", "1", true}, {"1", "1", false}, {"1", "3", false}, {"", "3", false}} {
		w := &world{t: t, image: image.New("cluster"), static: map[string]string{"min.insync.replicas": c.inherited}}
		w.nodes(nil, parseItems("1"))
		topic := NewTopic{Name: "t", Partitions: 1, ReplicationFactor: 1}
		if c.own != "" {
			topic.Configs = []NewConfig{{Name: "min.insync.replicas", Value: &c.own}}
		}
		cs, answers := CreateTopics(w.inputs(), []NewTopic{topic}, false)
		if refused := answers[0].Err != nil; refused != c.refused || refused == (len(cs) > 0) {
			t.Errorf("own %q, inherited %s: %v, %d commands", c.own, c.inherited, answers[0].Err, len(cs))
		}
	}
}
