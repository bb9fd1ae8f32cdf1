package main

import "path/filepath"

// A driver is one client. Its command understands --bootstrap, --client, --records, --data, --stage own|cross|failover|alone, --topics.
type driver struct {
	name    string
	needs   []string // tool chains, by their name in installer.steps
	command []string
	noCross bool // it cannot read assigned partitions, or reads no data sets
	lives   bool // it has a stage failover: it consumes in a group while its coordinator is killed
	alone   bool // it has a stage alone: what would disturb other drivers
}

// allDrivers lists the clients, slow ones first so that two workers end together.
func allDrivers(in *installer) []driver {
	python := func(script string) []string {
		return []string{in.path("venv/bin/python"), filepath.Join(in.source, "python", script)}
	}
	java := func(class string) []string {
		return []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", in.path("java/classes") + ":" + in.path("java/lib/*"), class}
	}
	goTool := func(name string) []string { return []string{in.path("bin/" + name)} }
	return []driver{
		{name: "streams", needs: []string{"go", "java"}, command: goTool("streams"), noCross: true},
		{name: "connect", needs: []string{"go", "java"}, command: goTool("connect"), noCross: true},
		{name: "tools", needs: []string{"go", "java"}, command: goTool("tools"), noCross: true, alone: true},
		{name: "console", needs: []string{"go", "java"}, command: goTool("console"), noCross: true},
		{name: "kafka-python", needs: []string{"python"}, command: python("kafka_python_driver.py")},
		{name: "aiokafka", needs: []string{"python"}, command: python("aiokafka_driver.py")},
		{name: "java", needs: []string{"java"}, command: java("conformance.Driver"), lives: true},
		{name: "kcat", needs: []string{"go", "kcat"}, command: goTool("kcat")},
		{name: "confluent", needs: []string{"python"}, command: python("confluent_driver.py"), lives: true},
		{name: "kafkajs", needs: []string{"node"}, command: []string{"node", in.path("node/driver.js")}, noCross: true},
		{name: "segmentio", needs: []string{"go"}, command: goTool("segmentio")},
		{name: "sarama", needs: []string{"go"}, command: goTool("sarama")},
		{name: "kgo", needs: []string{"go"}, command: goTool("franzgo"), lives: true},
		{name: "protocol", needs: []string{"go"}, command: goTool("protocol"), noCross: true},
	}
}
