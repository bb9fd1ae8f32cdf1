package config

import (
	"fmt"
	"strings"
)

// Markdown is the text of docs/operations/configuration.md. A test keeps the file equal to it.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("\n## Settings\n\n| flag | environment | default | |\n|---|---|---|---|\n")
	for _, s := range Settings {
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", s.Name, s.Env(), codeOr(s.Default, "none"), s.Doc)
	}
	b.WriteString(kafkaIntro)
	b.WriteString("\n## Topic keys\n\nAll of them can be changed at any time. A topic without a value of its own takes that of the broker key it inherits from.\n\n")
	b.WriteString("| key | type | default | valid | inherits from | |\n|---|---|---|---|---|---|\n")
	for i := range TopicKeys {
		k := &TopicKeys[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, k.Type, defaultCell(k), k.Check.Text, synonymCell(k), docCell(k))
	}
	b.WriteString("\n## Group keys\n\nAll of them can be changed at any time (`kafka-configs --entity-type groups`), within the bounds that broker keys set. A group without a value of its own takes that of the broker key it inherits from.\n\n")
	b.WriteString("| key | type | default | valid | inherits from | |\n|---|---|---|---|---|---|\n")
	for i := range GroupKeys {
		k := &GroupKeys[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, k.Type, defaultCell(k), k.Check.Text, synonymCell(k), docCell(k))
	}
	b.WriteString("\n## Broker keys\n\n| key | type | default | valid | change | |\n|---|---|---|---|---|---|\n")
	for i := range BrokerKeys {
		k := &BrokerKeys[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, k.Type, defaultCell(k), k.Check.Text, k.Update, docCell(k))
	}
	return b.String()
}

func codeOr(s, empty string) string {
	if s == "" {
		return empty
	}
	return "`" + s + "`"
}

func defaultCell(k *Key) string {
	if k.Null {
		return "unset"
	}
	return codeOr(k.Default, "empty")
}

func synonymCell(k *Key) string {
	if len(k.Synonyms) == 0 {
		return "-"
	}
	names := make([]string, len(k.Synonyms))
	for i, s := range k.Synonyms {
		names[i] = "`" + s.Name + "`"
	}
	return strings.Join(names, ", else ")
}

func docCell(k *Key) string {
	switch {
	case k.Internal:
		return k.Doc + " *Internal: DescribeConfigs tells of it only if it is set.*"
	case k.Inert == "":
		return k.Doc
	}
	return k.Doc + " *Accepted without effect: " + k.Inert + "*"
}

const intro = `<!-- Generated from internal/config: do not edit; go generate ./internal/config writes it anew. -->
# Configuration

Two kinds of things can be set: the settings of the process, and Kafka's keys for topics, brokers and groups.
` + "`chronik-server config`" + ` shows every value in effect and where it came from.

A setting is taken from the first of: flag, environment, file, default. The file is TOML:

` + "```toml" + `
kafka-port = 9092
data-dir = "/var/lib/chronik"

[kafka]
"log.retention.ms" = 86400000
"num.partitions" = 3
` + "```" + `

A name that is not known, and a value that is not valid, stops the start with a message that says what to do.
Variables of the form that Kubernetes sets for a Service (` + "`CHRONIK_SERVICE_HOST`, `CHRONIK_PORT_9092_TCP`" + `) are passed over.
`

const kafkaIntro = `
## Kafka's keys

Names, types and defaults are Apache Kafka's. A broker key can be set

- in the file, in the table ` + "`[kafka]`" + `;
- in the environment: ` + "`log.retention.ms` is `CHRONIK_KAFKA_LOG_RETENTION_MS`" + `;
- at run time with Kafka's own tools, where the column *change* says so: *cluster-wide* keys for one broker or for
  all of them, *per-broker* keys for one broker, *read-only* keys not at all.

What is set at run time is stored with the cluster's metadata, and is stronger than file and environment; a value for one broker
is stronger than one for all; a topic's or group's own value is the strongest.

Defaults that differ from Kafka's on purpose:

- ` + "`flush.messages` and `log.flush.interval.messages`" + ` are 1: a record is on disk before it is acknowledged.
- ` + "`broker.session.timeout.ms`, `broker.heartbeat.interval.ms` and `replica.lag.time.max.ms`" + ` are short, so that a failover takes
  less than a second.

A topic's own ` + "`min.insync.replicas`" + ` that is larger than its replication factor is refused; an inherited one counts as the smaller of both.
`
