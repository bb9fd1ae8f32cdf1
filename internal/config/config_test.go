package config

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write docs/operations/configuration.md")

func TestMarkdownIsCurrent(t *testing.T) {
	const path = "../../docs/operations/configuration.md"
	if *write {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Markdown() {
		t.Errorf("%s is not what the table says: run go generate ./internal/config", path)
	}
}

func TestEveryRowIsComplete(t *testing.T) {
	for scope, keys := range map[Scope][]Key{ScopeTopic: TopicKeys, ScopeBroker: BrokerKeys, ScopeGroup: GroupKeys} {
		for i := range keys {
			k := &keys[i]
			if i > 0 && keys[i-1].Name >= k.Name {
				t.Errorf("%s %s comes after %s: duplicate, or not sorted", scope, k.Name, keys[i-1].Name)
			}
			if !strings.HasSuffix(k.Doc, ".") {
				t.Errorf("%s %s: doc %q is not a sentence", scope, k.Name, k.Doc)
			}
			if strings.ContainsAny(k.Name, "_-ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				t.Errorf("%s: an environment variable could not name it", k.Name)
			}
			if scope == ScopeTopic && k.setTopic == nil || scope == ScopeGroup && k.setGroup == nil || scope != ScopeBroker && k.Null {
				t.Errorf("%s %s: not in the parsed form, or no default", scope, k.Name)
			}
			for _, s := range k.Synonyms {
				if b, err := Lookup(ScopeBroker, s.Name); err != nil || b.Type != k.Type && s.Factor == 1 {
					t.Errorf("%s %s inherits from %s: %v", scope, k.Name, s.Name, err)
				}
			}
		}
	}
	if len(TopicKeys) != 33 || len(BrokerKeys) < 100 {
		t.Errorf("%d topic keys, %d broker keys", len(TopicKeys), len(BrokerKeys))
	}
}

// A broker key without effect must say so: it moves neither Broker nor the topics' defaults.
func TestBrokerKeysActOrSayThatTheyDoNot(t *testing.T) {
	feeds := map[string]bool{}
	for _, k := range TopicKeys {
		for _, s := range k.Synonyms {
			feeds[s.Name] = true
		}
	}
	for _, k := range BrokerKeys {
		if k.setBroker == nil && !feeds[k.Name] && k.Inert == "" {
			t.Errorf("%s changes nothing and does not say why", k.Name)
		}
	}
}

// ours are the facts in which the table departs from Kafka's on purpose.
var ours = map[string]string{
	"topic flush.messages":                  "1 dynamic",
	"broker log.flush.interval.messages":    "1 cluster-wide",
	"broker broker.heartbeat.interval.ms":   "100 read-only",
	"broker broker.session.timeout.ms":      "600 read-only",
	"broker replica.lag.time.max.ms":        "800 read-only",
	"broker listeners":                      "PLAINTEXT://127.0.0.1:9092 read-only",
	"broker listener.security.protocol.map": "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT read-only",
	"broker log.dir":                        "./data read-only",
	"broker node.id":                        "1 read-only",
	"broker process.roles":                  "broker,controller read-only",
}

// TestTableAgreesWithKafka compares with what the real broker reports.
func TestTableAgreesWithKafka(t *testing.T) {
	text, err := os.ReadFile("testdata/kafka-4.3.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	topics, groups := 0, 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		scope, update := ScopeBroker, ""
		switch f[0] {
		case "topic":
			scope, update, topics = ScopeTopic, "dynamic", topics+1
		case "group":
			scope, update, groups = ScopeGroup, "dynamic", groups+1
		}
		k, err := Lookup(scope, f[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if update == "" {
			update = k.Update.String()
		}
		def := k.DefaultValue().String()
		switch {
		case k.Null:
			def = "<null>"
		case def == "":
			def = "<empty>"
		}
		want := f[3] + " " + f[4]
		if o, ok := ours[f[0]+" "+f[1]]; ok {
			want = o
		}
		if got := def + " " + update; got != want || k.Type.String() != f[2] {
			t.Errorf("%s %s: %s %s, want %s %s", f[0], f[1], k.Type, got, f[2], want)
		}
		if scope != ScopeBroker {
			checkSynonyms(t, scope, k, f[5])
		}
	}
	if topics != len(TopicKeys) || groups != len(GroupKeys) {
		t.Errorf("Kafka has %d topic keys and %d group keys, the tables %d and %d", topics, groups, len(TopicKeys), len(GroupKeys))
	}
}

func checkSynonyms(t *testing.T, scope Scope, k *Key, want string) {
	t.Helper()
	describe := Layers{}.DescribeTopic
	if scope == ScopeGroup {
		describe = Layers{}.DescribeGroup
	}
	entries, err := describe(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := entries[slices.IndexFunc(entries, func(e Entry) bool { return e.Key == k })]
	var names []string
	for _, s := range e.Synonyms {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	if got := strings.Join(names, ","); got != want {
		t.Errorf("%s: synonyms %s, want %s", k.Name, got, want)
	}
}

func TestValidateSpeaksAsKafkaDoes(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{"retention.ms", "", "Invalid value  for configuration retention.ms: Not a number of type LONG"},
		{"max.message.bytes", "99999999999", "Invalid value 99999999999 for configuration max.message.bytes: Not a number of type INT"},
		{"segment.bytes", "1", "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"},
		{"cleanup.policy", "nope", "Invalid value nope for configuration cleanup.policy: String must be one of: compact, delete"},
		{"compression.type", "xyz", "Invalid value xyz for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"preallocate", "yes", "Invalid value yes for configuration preallocate: Expected value to be either true or false"},
		{"min.cleanable.dirty.ratio", "2", "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{"compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{"compression.lz4.level", "99", "Invalid value 99 for configuration compression.lz4.level: Value must be no more than 17"},
		{"leader.replication.throttled.replicas", "x", "Invalid value [x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas " +
			"must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
		{"foo.bar", "1", "Unknown topic config name: foo.bar"},
		{"retention.m", "1", "Unknown topic config name: retention.m (did you mean retention.ms?)"},
		{"retention.ms", " 5 ", ""},
		{"cleanup.policy", "", ""},
		{"cleanup.policy", "compact, delete", ""},
		{"leader.replication.throttled.replicas", "*", ""},
		{"leader.replication.throttled.replicas", "0:1,1:2", ""},
		{"preallocate", "TRUE", ""},
		{"compression.gzip.level", "-1", ""},
	} {
		got := ""
		if err := Validate(ScopeTopic, c.name, c.value); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%q: %s\nwant %s", c.name, c.value, got, c.want)
		}
	}
}

func TestPasswordsAreHiddenInErrors(t *testing.T) {
	k := Key{Name: "secret", Type: Password, Check: oneOf("a")}
	_, err := k.Parse("hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v: want one without the value", err)
	}
}

func TestFormatDouble(t *testing.T) {
	for want, f := range map[string]float64{"0.5": 0.5, "2.0": 2, "0.0": 0, "1.7976931348623157E308": 1.7976931348623157e308, "1.0E7": 1e7, "1.0E-4": 1e-4, "-12.25": -12.25} {
		if got := formatDouble(f); got != want {
			t.Errorf("formatDouble(%v) = %s, want %s", f, got, want)
		}
	}
}
