// Package config is the one table of what can be set, and what follows from it.
//
// Two kinds of things can be set. Kafka's keys, of topics, groups and the broker, carry Kafka's names, types,
// defaults and synonyms, so that tools and habits keep working (TopicKeys, GroupKeys, BrokerKeys). The settings of
// the process itself (Settings) are few: ports, addresses, directories, the log level. Flags, environment,
// the configuration file, DescribeConfigs and docs/operations/configuration.md are all fed from here.
//
// A Kafka key takes its value from the first of these layers that sets it (Layers):
//
//	the topic's or group's own override, the broker's dynamic value, the cluster's dynamic default,
//	the static value of file or environment, the default of the table.
//
// Invariants: a value is parsed and checked before it is stored, so Topic, Group and Broker, the parsed forms
// that are read at work, are built without surprises; a stored value that does not parse is an error,
// never a default (D4). One default differs from Kafka's on purpose: flush.messages is 1, a record
// is on disk before it is acknowledged (D2).
//
// Concurrency: the tables are read-only after init. Topic and Broker are immutable once built and may be
// shared. Nothing here does I/O but Load, through the functions that it is given.
package config

//go:generate go test . -run ^TestMarkdownIsCurrent$ -write
