package main

import (
	"fmt"
	"sort"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func configProbes() []probe {
	return []probe{
		{"describe-configs/versions", describeVersions},
		{"describe-configs/topic-keys", topicKeys},
		{"describe-configs/broker-keys", brokerKeys},
		{"describe-configs/bad-input", describeBad},
		{"list-config-resources", listConfigResources},
	}
}

const (
	onTopic  = kmsg.ConfigResourceTypeTopic
	onBroker = kmsg.ConfigResourceTypeBroker
)

func describeRequest(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	return req
}

// nodeName is what the asked broker's configs are called; from now on it is written as that, and not as its number.
func (a *asker) nodeName() string {
	a.self = strconv.Itoa(int(a.node()))
	return a.self
}

func describeVersions(a *asker) {
	name, _ := a.topic("t", 1, "segment.bytes", "12345678")
	for v := int16(1); v <= 4; v++ {
		a.ask("two keys of a topic", describeRequest(onTopic, name, "retention.ms", "segment.bytes"), v)
		req := describeRequest(onTopic, name, "segment.bytes", "retention.ms")
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		a.ask("with synonyms and documentation", req, v)
		a.ask("a key of the broker", describeRequest(onBroker, a.nodeName(), "message.max.bytes"), v)
		req = describeRequest(onBroker, a.nodeName(), "log.retention.ms", "log.segment.bytes")
		req.IncludeSynonyms = true
		a.ask("two keys of the broker, with synonyms", req, v)
	}
}

// keys writes down one line per key, sorted; only the wanted ones, if any are named.
func (a *asker) keys(question string, req *kmsg.DescribeConfigsRequest, without map[string]bool) {
	req.IncludeSynonyms = true
	got := a.quiet(req, 4).(*kmsg.DescribeConfigsResponse).Resources[0]
	sort.Slice(got.Configs, func(i, j int) bool { return got.Configs[i].Name < got.Configs[j].Name })
	for _, c := range got.Configs {
		if without[c.Name] {
			continue
		}
		value := "null"
		if c.Value != nil {
			value = strconv.Quote(*c.Value)
		}
		a.question("%s: %s", question, c.Name)
		a.say("%s, %v, %v, read-only %v, sensitive %v", value, c.ConfigType, c.Source, c.ReadOnly, c.IsSensitive)
		for _, s := range c.ConfigSynonyms {
			a.say("  %s = %v from %v", s.Name, deref(s.Value), s.Source)
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func topicKeys(a *asker) {
	name, _ := a.topic("t", 1)
	a.keys("a topic's key", describeRequest(onTopic, name), nil)
}

// brokerKeys asks for the keys that users set; a broker of another make has others besides.
func brokerKeys(a *asker) {
	keys := []string{
		"advertised.listeners", "auto.create.topics.enable", "background.threads", "compression.type", "connections.max.idle.ms",
		"default.replication.factor", "delete.topic.enable", "listeners", "log.cleanup.policy", "log.dirs", "log.flush.interval.messages",
		"log.flush.interval.ms", "log.index.interval.bytes", "log.message.timestamp.type", "log.retention.bytes", "log.retention.hours",
		"log.retention.minutes", "log.retention.ms", "log.roll.hours", "log.roll.ms", "log.segment.bytes", "max.connections",
		"max.connections.per.ip", "message.max.bytes", "min.insync.replicas", "node.id", "num.io.threads", "num.network.threads",
		"num.partitions", "producer.id.expiration.ms", "replica.lag.time.max.ms", "socket.request.max.bytes",
		"unclean.leader.election.enable", "log.message.timestamp.after.max.ms", "log.message.timestamp.before.max.ms", "log.local.retention.ms",
	}
	chosenHere := map[string]bool{"advertised.listeners": true, "listeners": true, "log.dirs": true, "node.id": true}
	a.keys("a broker's key", describeRequest(onBroker, a.nodeName(), keys...), chosenHere)
	a.keys("the cluster-wide default", describeRequest(onBroker, "", keys...), chosenHere)
}

func describeBad(a *asker) {
	name, _ := a.topic("t", 1)
	for _, v := range []int16{1, 4} {
		a.ask("a topic that does not exist", describeRequest(onTopic, a.topicName("none"), "retention.ms"), v)
		a.ask("a name that cannot be", describeRequest(onTopic, "no spaces", "retention.ms"), v)
		a.ask("an empty topic name", describeRequest(onTopic, "", "retention.ms"), v)
		a.ask("a key that does not exist", describeRequest(onTopic, name, "no.such.key"), v)
		a.question("a list of no keys means all keys (v%d)", v)
		none := describeRequest(onTopic, name)
		none.Resources[0].ConfigNames = []string{}
		a.say("%v", len(a.quiet(none, v).(*kmsg.DescribeConfigsResponse).Resources[0].Configs) > 20)
		a.ask("another broker", describeRequest(onBroker, "99", "message.max.bytes"), v)
		a.ask("a broker that is no number", describeRequest(onBroker, "one", "message.max.bytes"), v)
		a.ask("a kind of resource that does not exist", describeRequest(77, "x"), v)
		a.ask("no kind of resource", describeRequest(0, "x"), v)
		twice := describeRequest(onTopic, name, "retention.ms")
		twice.Resources = append(twice.Resources, twice.Resources[0])
		a.ask("the same resource twice", twice, v)
		none = describeRequest(onTopic, name)
		none.Resources = nil
		a.ask("no resources", none, v)
		a.ask("the broker's loggers, one", describeRequest(kmsg.ConfigResourceTypeBrokerLogger, "99", "root"), v)
	}
}

func listConfigResources(a *asker) {
	name, _ := a.topic("t", 1, "segment.bytes", "12345678")
	plain, _ := a.topic("plain", 1)
	ask := func(question string, v int16, kinds ...int8) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = kinds
		a.question("%s (v%d)", question, v)
		got := a.quiet(req, v).(*kmsg.ListConfigResourcesResponse)
		found := map[string]int{}
		for _, r := range got.ConfigResources {
			what := fmt.Sprintf("kind %d", r.Type)
			switch r.Name {
			case name:
				what += " topic with a config"
			case plain:
				what += " topic without"
			case a.nodeName():
				what += " node"
			default:
				continue
			}
			found[what]++
		}
		a.say("%s, %v", errorName(got.ErrorCode), found)
	}
	ask("telemetry subscriptions", 0)
	ask("topics", 1, int8(onTopic))
	ask("brokers", 1, int8(onBroker))
	ask("broker loggers", 1, int8(kmsg.ConfigResourceTypeBrokerLogger))
	ask("client metrics", 1, 16)
	ask("groups", 1, 32)
	ask("all", 1)
	ask("a kind that does not exist", 1, 77)
}
