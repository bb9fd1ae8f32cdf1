package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func alterProbes() []probe {
	return append([]probe{
		{"incremental-alter-configs", incrementalAlter},
		{"incremental-alter-configs/broker", alterBroker},
		{"alter-configs", alterConfigs},
	}, groupConfigProbes()...)
}

type change struct {
	op    kmsg.IncrementalAlterConfigOp
	key   string
	value *string
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	remove   = kmsg.IncrementalAlterConfigOpDelete
	appendTo = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

func incrementalRequest(kind kmsg.ConfigResourceType, name string, changes ...change) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, c := range changes {
		k := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		k.Name, k.Op, k.Value = c.key, c.op, c.value
		r.Configs = append(r.Configs, k)
	}
	req.Resources = append(req.Resources, r)
	return req
}

// value waits until the key has the value, which Kafka's brokers learn late.
func (a *asker) value(kind kmsg.ConfigResourceType, name, key, want string) {
	a.until(name+" has "+key+"="+want, func() bool {
		got := a.quiet(describeRequest(kind, name, key), 4).(*kmsg.DescribeConfigsResponse).Resources[0]
		return len(got.Configs) == 1 && deref(got.Configs[0].Value) == want
	})
}

func incrementalAlter(a *asker) {
	for v := int16(0); v <= 1; v++ {
		name, _ := a.topic("t"+string(rune('a'+v)), 1)
		ask := func(question string, changes ...change) {
			a.ask(question, incrementalRequest(onTopic, name, changes...), v)
		}
		dry := incrementalRequest(onTopic, name, change{set, "retention.ms", ptr("1000")})
		dry.ValidateOnly = true
		a.ask("validate only", dry, v)
		ask("set", change{set, "retention.ms", ptr("3600000")}, change{set, "segment.ms", ptr("60000")})
		a.value(onTopic, name, "segment.ms", "60000")
		a.value(onTopic, name, "retention.ms", "3600000")
		ask("append to a list", change{appendTo, "cleanup.policy", ptr("compact")})
		a.value(onTopic, name, "cleanup.policy", "delete,compact")
		ask("append what is there", change{appendTo, "cleanup.policy", ptr("compact")})
		a.value(onTopic, name, "cleanup.policy", "delete,compact")
		ask("subtract from a list", change{subtract, "cleanup.policy", ptr("delete")})
		a.value(onTopic, name, "cleanup.policy", "compact")
		ask("subtract what is not there", change{subtract, "cleanup.policy", ptr("delete")})
		ask("delete", change{remove, "retention.ms", nil})
		a.value(onTopic, name, "retention.ms", "604800000")
		ask("delete what is not set", change{remove, "retention.bytes", nil})
		ask("append to what is no list", change{appendTo, "retention.ms", ptr("1")})
		ask("an operation that does not exist", change{9, "retention.ms", ptr("1")})
		ask("set to null", change{set, "retention.ms", nil})
		ask("a key that does not exist", change{set, "no.such.key", ptr("1")})
		ask("delete a key that does not exist", change{remove, "no.such.key", nil})
		ask("a value that is none", change{set, "retention.ms", ptr("many")})
		ask("a value out of range", change{set, "min.insync.replicas", ptr("0")})
		ask("a list entry that is none", change{appendTo, "cleanup.policy", ptr("forget")})
		ask("the same key twice", change{set, "retention.ms", ptr("1")}, change{set, "retention.ms", ptr("2")})
		ask("a good change and a bad one", change{set, "segment.ms", ptr("70000")}, change{set, "retention.ms", ptr("many")})
		ask("no changes")
		a.ask("a topic that does not exist", incrementalRequest(onTopic, a.topicName("none"), change{set, "retention.ms", ptr("1")}), v)
		a.ask("a name that cannot be", incrementalRequest(onTopic, "no spaces", change{set, "retention.ms", ptr("1")}), v)
		a.ask("an empty topic name", incrementalRequest(onTopic, "", change{set, "retention.ms", ptr("1")}), v)
		a.ask("a kind of resource that does not exist", incrementalRequest(77, "x", change{set, "retention.ms", ptr("1")}), v)
		twice := incrementalRequest(onTopic, name, change{set, "retention.ms", ptr("1")})
		twice.Resources = append(twice.Resources, twice.Resources[0])
		a.ask("the same resource twice", twice, v)
		a.ask("what came of all that", describeRequest(onTopic, name, "cleanup.policy", "retention.ms", "segment.ms"), 4-v)
	}
}

func alterBroker(a *asker) {
	node := a.nodeName()
	ask := func(question, name string, c change) { a.ask(question, incrementalRequest(onBroker, name, c), 1) }
	ask("a read-only key", node, change{set, "log.dirs", ptr("/elsewhere")})
	ask("a key that does not exist", node, change{set, "no.such.key", ptr("1")})
	ask("a value that is none", node, change{set, "message.max.bytes", ptr("many")})
	ask("another broker", "99", change{set, "message.max.bytes", ptr("1048588")})
	ask("a broker that is no number", "one", change{set, "message.max.bytes", ptr("1048588")})
	// The key is one that no other driver, running at the same time, depends on.
	ask("a key of all brokers", "", change{set, "log.cleaner.delete.retention.ms", ptr("86400001")})
	a.value(onBroker, node, "log.cleaner.delete.retention.ms", "86400001")
	req := describeRequest(onBroker, node, "log.cleaner.delete.retention.ms")
	req.IncludeSynonyms = true
	a.ask("is seen on the broker", req, 4)
	a.ask("and in the cluster-wide default", describeRequest(onBroker, "", "log.cleaner.delete.retention.ms"), 4)
	name, _ := a.topic("t", 1)
	topic := describeRequest(onTopic, name, "delete.retention.ms")
	topic.IncludeSynonyms = true
	a.ask("and as a topic's default", topic, 4)
	ask("the same key of this broker", node, change{set, "log.cleaner.delete.retention.ms", ptr("86400002")})
	a.value(onBroker, node, "log.cleaner.delete.retention.ms", "86400002")
	a.ask("comes before it", req, 4)
	ask("delete it", node, change{remove, "log.cleaner.delete.retention.ms", nil})
	ask("delete the other", "", change{remove, "log.cleaner.delete.retention.ms", nil})
	a.value(onBroker, node, "log.cleaner.delete.retention.ms", "86400000")
	a.ask("the default is back", req, 4-1)
}

func replaceRequest(kind kmsg.ConfigResourceType, name string, pairs ...string) *kmsg.AlterConfigsRequest {
	req := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for i := 0; i < len(pairs); i += 2 {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = pairs[i], &pairs[i+1]
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	return req
}

func alterConfigs(a *asker) {
	for v := int16(0); v <= 2; v++ {
		name, _ := a.topic("t"+string(rune('a'+v)), 1, "segment.bytes", "12345678")
		a.ask("set one, which unsets the others", replaceRequest(onTopic, name, "retention.ms", "3600000"), v)
		a.value(onTopic, name, "segment.bytes", "1073741824")
		a.ask("what came of it", describeRequest(onTopic, name, "retention.ms", "segment.bytes"), 1+v)
		dry := replaceRequest(onTopic, name, "retention.ms", "1000")
		dry.ValidateOnly = true
		a.ask("validate only", dry, v)
		a.ask("a key that does not exist", replaceRequest(onTopic, name, "no.such.key", "1"), v)
		a.ask("a value that is none", replaceRequest(onTopic, name, "retention.ms", "many"), v)
		a.ask("a topic that does not exist", replaceRequest(onTopic, a.topicName("none"), "retention.ms", "1"), v)
		a.ask("a kind of resource that does not exist", replaceRequest(77, "x", "retention.ms", "1"), v)
		null := replaceRequest(onTopic, name, "retention.ms", "1")
		null.Resources[0].Configs[0].Value = nil
		a.ask("a null value", null, v)
		a.ask("the same key twice", replaceRequest(onTopic, name, "retention.ms", "1000", "retention.ms", "2000"), v)
		a.ask("nothing, which unsets all", replaceRequest(onTopic, name), v)
		a.value(onTopic, name, "retention.ms", "604800000")
	}
}
