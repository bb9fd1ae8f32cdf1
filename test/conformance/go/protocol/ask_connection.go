package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// probes are all conversations, in the order of the recording.
func probes() []probe {
	var all []probe
	for _, group := range [][]probe{
		connectionProbes(), metadataProbes(), produceProbes(), idempotentProbes(), fetchProbes(), sessionProbes(), offsetProbes(),
		topicProbes(), partitionProbes(), recordProbes(), configProbes(), alterProbes(), clusterProbes(),
		replicaProbes(), quorumProbes(), coordinatorProbes(), groupProbes(), shareProbes(), shareFetchProbes(), streamsProbes(), commitProbes(), transactionProbes(),
	} {
		all = append(all, group...)
	}
	return all
}

func connectionProbes() []probe {
	return []probe{
		{"connection/api-versions", apiVersions},
		{"connection/advertised", advertised},
		{"connection/refused-requests", refused},
		{"connection/version-limits", versionLimits},
		{"connection/pipelined", pipelined},
	}
}

func apiVersions(a *asker) {
	ask := func(version int16) *kmsg.ApiVersionsRequest {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = version
		req.ClientSoftwareName, req.ClientSoftwareVersion = "chronik-conformance", "1.0"
		return req
	}
	show := func(question string, req *kmsg.ApiVersionsRequest, answerVersion int16) {
		a.question("%s (v%d)", question, req.Version)
		id, err := a.connection().send(req)
		a.must(err)
		b, err := a.connection().frame()
		if err != nil {
			a.say("%v", err)
			a.hangUp()
			return
		}
		as := kmsg.NewPtrApiVersionsRequest()
		as.Version = answerVersion
		resp, err := decode(b, as, id)
		a.must(err)
		got := resp.(*kmsg.ApiVersionsResponse)
		a.say("%s, names APIs: %v", errorName(got.ErrorCode), len(got.ApiKeys) > 10)
		for _, k := range got.ApiKeys {
			if got.ErrorCode != 0 && k.ApiKey == int16(kmsg.ApiVersions) {
				a.say("ApiVersions %d to %d", k.MinVersion, k.MaxVersion)
			}
		}
	}
	for v := int16(0); v <= 4; v++ {
		show("which APIs are there", ask(v), v)
	}
	show("a version that is too high is answered in version 0", ask(99), 0)
	bad := ask(3)
	bad.ClientSoftwareName = "no spaces!"
	show("a software name with a space", bad, 3)
	empty := ask(3)
	empty.ClientSoftwareVersion = ""
	show("no software version", empty, 3)
	show("and the connection still works", ask(4), 4)
}

// stage are the APIs of a standalone broker without groups and transactions, with the versions of Kafka 4.3.1. What a broker
// advertises beyond them must have Kafka's versions too; an API that kmsg does not know at its highest version may lag.
var stage = map[int16][2]int16{
	0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 18: {0, 4}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 32: {1, 4},
	33: {0, 2}, 34: {1, 2}, 35: {1, 5}, 37: {0, 3}, 44: {0, 1}, 60: {0, 2}, 61: {0, 0}, 74: {0, 1}, 75: {0, 0},
}

// advertised compares the version table; it writes down only what deviates.
func advertised(a *asker) {
	a.question("does it advertise each API of the stage, and at Kafka's versions")
	got := a.quiet(kmsg.NewPtrApiVersionsRequest(), 2).(*kmsg.ApiVersionsResponse)
	table := map[int16][2]int16{}
	for _, k := range got.ApiKeys {
		table[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	var bad []string
	for key, want := range stage {
		if table[key] != want {
			bad = append(bad, fmt.Sprintf("%s %v", kmsg.NameForKey(key), table[key]))
		}
	}
	sort.Strings(bad)
	a.say("deviations: %s", strings.Join(bad, ", "))
}

func metadataFor(topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

// refused sends what no client sends: the broker closes the connection, or answers, but goes on for others.
func refused(a *asker) {
	valid := func(key, version int16) []byte {
		req := metadataFor()
		req.Version = 12
		b := a.connection().format.AppendRequest(nil, req, 7)
		binary.BigEndian.PutUint16(b[4:], uint16(key))
		binary.BigEndian.PutUint16(b[6:], uint16(version))
		return b
	}
	for _, ask := range []struct {
		question string
		bytes    func() []byte
	}{
		{"an API key that does not exist", func() []byte { return valid(999, 0) }},
		{"a negative API key", func() []byte { return valid(-1, 0) }},
		{"Metadata version 99", func() []byte { return valid(3, 99) }},
		{"Metadata version -1", func() []byte { return valid(3, -1) }},
		{"Fetch version 3, below the lowest", func() []byte { return valid(1, 3) }},
		{"a request that ends in its header", func() []byte { return []byte{0, 0, 0, 4, 0, 3, 0, 12} }},
		{"a request that ends in its body", func() []byte { b := valid(3, 12); binary.BigEndian.PutUint32(b, uint32(len(b)-6)); return b[:len(b)-2] }},
		{"bytes after the body", func() []byte {
			b := append(valid(3, 12), 1, 2, 3)
			binary.BigEndian.PutUint32(b, uint32(len(b)-4))
			return b
		}},
		{"a negative length", func() []byte { return []byte{0xff, 0xff, 0xff, 0xff} }},
		{"a length of 2 GiB", func() []byte { return []byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0, 0, 0, 0, 1} }},
		{"a length of 0", func() []byte { return []byte{0, 0, 0, 0} }},
		{"an HTTP request", func() []byte { return []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }},
	} {
		a.hangUp()
		a.question("%s", ask.question)
		a.must(a.connection().raw(ask.bytes()))
		b, err := a.connection().frame()
		if err != nil {
			a.say("%v", err)
			continue
		}
		a.say("answers (%v)", len(b) > 0)
	}
	a.hangUp()
	produceBelow(a)
	a.question("does it still serve others")
	a.say("%v", len(a.quiet(metadataFor(), 12).(*kmsg.MetadataResponse).Brokers) > 0)
}

// versionLimits asks for a version too high and one too low of every API: the connection closes (ApiVersions answers, see there).
func versionLimits(a *asker) {
	for _, key := range slices.Sorted(maps.Keys(stage)) {
		for _, version := range []int16{stage[key][0] - 1, stage[key][1] + 1} {
			if key == int16(kmsg.ApiVersions) || key == int16(kmsg.Produce) && version < 3 {
				continue
			}
			req := kmsg.RequestForKey(key)
			req.SetVersion(max(version, 0))
			b := a.connection().format.AppendRequest(nil, req, 7)
			binary.BigEndian.PutUint16(b[6:], uint16(version))
			a.question("%s v%d", kmsg.NameForKey(key), version)
			a.must(a.connection().raw(b))
			_, err := a.connection().frame()
			a.say("%v", err)
			a.hangUp()
		}
	}
}

// produceBelow: Produce 0 to 2 are advertised and not served (KAFKA-18659).
func produceBelow(a *asker) {
	name, id := a.topic("below", 1)
	for v := int16(0); v <= 2; v++ {
		a.ask("a version that only seems to be there", produceRequest(name, id, 0, newBatch(1).bytes()), v)
		a.hangUp()
	}
}

// pipelined sends many requests before it reads: the answers come in their order, whatever takes longest.
func pipelined(a *asker) {
	name, id := a.topic("t", 1)
	var reqs []kmsg.Request
	for i := range 30 {
		switch i % 3 {
		case 0:
			r := produceRequest(name, id, 0, newBatch(1).bytes())
			r.Version = 12
			reqs = append(reqs, r)
		case 1:
			r := metadataFor(name)
			r.Version = 12
			reqs = append(reqs, r)
		default:
			r := listOffsetsRequest(name, 0, -1)
			r.Version = 7
			reqs = append(reqs, r)
		}
	}
	var ids []int32
	for _, r := range reqs {
		n, err := a.connection().send(r)
		a.must(err)
		ids = append(ids, n)
	}
	a.question("thirty requests at once: answers in order, each seeing the produce before it")
	for i, r := range reqs {
		resp, err := a.connection().receive(r, ids[i])
		a.must(err)
		switch resp := resp.(type) {
		case *kmsg.ProduceResponse:
			a.say("produced at %d", resp.Topics[0].Partitions[0].BaseOffset)
		case *kmsg.ListOffsetsResponse:
			a.say("end at %d", resp.Topics[0].Partitions[0].Offset)
		}
	}
	a.question("acks=0 has no answer: the next request is answered first")
	silent := produceRequest(name, id, 0, newBatch(1).bytes())
	silent.Version, silent.Acks = 12, 0
	_, err := a.connection().send(silent)
	a.must(err)
	end := a.quiet(listOffsetsRequest(name, 0, -1), 7).(*kmsg.ListOffsetsResponse)
	a.say("end at %d", end.Topics[0].Partitions[0].Offset)
	a.question("acks=0 to a topic that does not exist closes the connection")
	silent = produceRequest("p-never-created"+a.tag, id, 0, newBatch(1).bytes())
	silent.Version, silent.Acks = 12, 0
	_, err = a.connection().send(silent)
	a.must(err)
	_, err = a.connection().frame()
	a.say("%v", err)
	a.hangUp()
}
