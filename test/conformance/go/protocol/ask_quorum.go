package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func quorumProbes() []probe {
	return []probe{
		{"describe-quorum", describeQuorum}, {"update-features", updateFeatures}, {"unregister-broker", unregisterBroker},
		{"raft-voters", raftVoters},
	}
}

// metadataTopic is the one that the quorum is asked about.
const metadataTopic = "__cluster_metadata"

func describeQuorum(a *asker) {
	ask := func(topic string, partitions ...int32) *kmsg.DescribeQuorumRequest {
		req := kmsg.NewPtrDescribeQuorumRequest()
		t := kmsg.NewDescribeQuorumRequestTopic()
		t.Topic = topic
		for _, n := range partitions {
			p := kmsg.NewDescribeQuorumRequestTopicPartition()
			p.Partition = n
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		return req
	}
	for v := int16(0); v <= 2; v++ {
		a.question("the quorum (v%d)", v)
		r := a.quiet(ask(metadataTopic, 0), v).(*kmsg.DescribeQuorumResponse)
		a.say("%s", errorName(r.ErrorCode))
		followers := 0
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				a.say("%s-%d %s, leader %v, epoch %v, watermark %v, %d voters, observers %d", t.Topic, p.Partition, errorName(p.ErrorCode),
					p.LeaderID >= 0, p.LeaderEpoch > 0, p.HighWatermark > 0, len(p.CurrentVoters), len(p.Observers))
				for _, s := range p.CurrentVoters {
					if s.ReplicaID != p.LeaderID {
						followers++
						continue
					}
					a.say("the leader %v, all of its log %v, fetched at a time %v, caught up at a time %v", s.ReplicaID == p.LeaderID,
						s.LogEndOffset >= p.HighWatermark, s.LastFetchTimestamp > 0, s.LastCaughtUpTimestamp > 0)
				}
			}
		}
		if followers > 0 {
			a.say("%d followers", followers)
		}
		var listeners []string
		for _, n := range r.Nodes {
			for _, l := range n.Listeners {
				listeners = append(listeners, fmt.Sprintf("a name %v, a host %v, a port %v", l.Name != "", l.Host != "", l.Port > 0))
			}
		}
		a.say("%d nodes, %s", len(r.Nodes), strings.Join(listeners, "\n  "))
	}
	a.each("another partition", 0, 2, func(int16) kmsg.Request { return ask(metadataTopic, 1) })
	a.each("another topic", 0, 2, func(int16) kmsg.Request { return ask(a.topicName("none"), 0) })
	a.each("no partition", 0, 2, func(int16) kmsg.Request { return ask(metadataTopic) })
	a.each("no topic", 0, 2, func(int16) kmsg.Request { return kmsg.NewPtrDescribeQuorumRequest() })
	a.each("two partitions", 0, 2, func(int16) kmsg.Request { return ask(metadataTopic, 0, 1) })
}

func updateFeatures(a *asker) {
	ask := func(feature string, level int16, kind int8) *kmsg.UpdateFeaturesRequest {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis = 10_000
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType, u.AllowDowngrade = feature, level, kind, kind > 1
		req.FeatureUpdates = append(req.FeatureUpdates, u)
		return req
	}
	const upgrade, safe, unsafe = 1, 2, 3
	const known = "eligible.leader.replicas.version"
	a.each("a level that it has", 0, 2, func(int16) kmsg.Request { return ask(known, 1, upgrade) })
	a.each("a level that does not exist", 0, 2, func(int16) kmsg.Request { return ask(known, 99, upgrade) })
	a.each("a negative level", 0, 2, func(int16) kmsg.Request { return ask(known, -1, upgrade) })
	a.each("down, called an upgrade", 0, 2, func(int16) kmsg.Request { return ask(known, 0, upgrade) })
	a.each("up, called a downgrade", 1, 2, func(int16) kmsg.Request { return ask(known, 99, safe) })
	a.each("down, only to see", 1, 2, func(int16) kmsg.Request {
		req := ask(known, 0, unsafe)
		req.ValidateOnly = true
		return req
	})
	a.each("a kind that does not exist", 1, 2, func(int16) kmsg.Request { return ask(known, 1, 9) })
	a.each("no kind", 1, 2, func(int16) kmsg.Request { return ask(known, 1, 0) })
	a.each("a feature that does not exist", 0, 2, func(int16) kmsg.Request { return ask("no.such.feature", 1, upgrade) })
	a.each("a feature that does not exist, to level 0", 0, 2, func(int16) kmsg.Request { return ask("no.such.feature", 0, safe) })
	a.each("a feature without a name", 0, 2, func(int16) kmsg.Request { return ask("", 1, upgrade) })
	a.each("the metadata's version, beyond all", 0, 2, func(int16) kmsg.Request { return ask("metadata.version", 999, upgrade) })
	a.each("the metadata's version, to 0", 1, 2, func(int16) kmsg.Request { return ask("metadata.version", 0, unsafe) })
	a.each("the metadata's version, below all", 1, 2, func(int16) kmsg.Request { return ask("metadata.version", 1, unsafe) })
	a.each("one that is good and one that is not", 0, 2, func(int16) kmsg.Request {
		req := ask(known, 1, upgrade)
		req.FeatureUpdates = append(req.FeatureUpdates, ask("no.such.feature", 1, upgrade).FeatureUpdates...)
		return req
	})
	a.each("the same feature twice", 0, 2, func(int16) kmsg.Request {
		req := ask(known, 1, upgrade)
		req.FeatureUpdates = append(req.FeatureUpdates, req.FeatureUpdates...)
		return req
	})
	a.each("nothing", 0, 2, func(int16) kmsg.Request { return kmsg.NewPtrUpdateFeaturesRequest() })
	for v := int16(3); v <= 4; v++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "probe", "1"
		r := a.quiet(req, v).(*kmsg.ApiVersionsResponse)
		a.question("a feature as every client sees it (v%d)", v)
		for _, f := range r.SupportedFeatures {
			if f.Name == known && v >= 4 { // version 3 cannot tell of features that may be at level 0, as they may in Kafka
				a.say("supported up to %d", f.MaxVersion)
			}
		}
		finalized := slices.ContainsFunc(r.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
			return f.Name == known && f.MaxVersionLevel == 1 && f.MinVersionLevel == 1
		})
		a.say("finalized at 1: %v, as of an epoch: %v", finalized, r.FinalizedFeaturesEpoch > 0)
	}
}

func unregisterBroker(a *asker) {
	ask := func(id int32) *kmsg.UnregisterBrokerRequest {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = id
		return req
	}
	a.ask("a broker that is not there", ask(99), 0)
	a.ask("a negative broker", ask(-1), 0)
}

func raftVoters(a *asker) {
	id := a.quiet(metadataFor(), 9).(*kmsg.MetadataResponse)
	add := func(cluster *string, voter int32) *kmsg.AddRaftVoterRequest {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.ClusterID, req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = cluster, 10_000, voter, [16]byte{1, 2, 3}
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = "CONTROLLER", "127.0.0.1", 9
		req.Listeners = append(req.Listeners, l)
		return req
	}
	remove := func(cluster *string, voter int32) *kmsg.RemoveRaftVoterRequest {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.ClusterID, req.VoterID, req.VoterDirectoryID = cluster, voter, [16]byte{1, 2, 3}
		return req
	}
	another := "another-cluster-another"
	a.each("add one", 0, 1, func(int16) kmsg.Request { return add(id.ClusterID, 99) })
	a.each("add one, and do not say to which cluster", 0, 1, func(int16) kmsg.Request { return add(nil, 99) })
	a.each("add one to another cluster", 0, 1, func(int16) kmsg.Request { return add(&another, 99) })
	a.each("add a negative one", 0, 1, func(int16) kmsg.Request { return add(id.ClusterID, -1) })
	a.each("add one that listens nowhere", 0, 1, func(int16) kmsg.Request {
		req := add(id.ClusterID, 99)
		req.Listeners = nil
		return req
	})
	a.each("add the one that is there", 0, 1, func(int16) kmsg.Request { return add(id.ClusterID, id.ControllerID) })
	a.ask("remove one that is not there", remove(id.ClusterID, 99), 0)
	a.ask("remove one from another cluster", remove(&another, 99), 0)
	a.ask("remove the only one, by another directory", remove(id.ClusterID, id.ControllerID), 0)
}
