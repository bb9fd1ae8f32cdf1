package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

func TestDescribeQuorum(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	ask := func(version int16, topic string, partition int32) *kmsg.DescribeQuorumResponse {
		req := kmsg.NewPtrDescribeQuorumRequest()
		rt := kmsg.NewDescribeQuorumRequestTopic()
		rt.Topic = topic
		rt.Partitions = append(rt.Partitions, kmsg.DescribeQuorumRequestTopicPartition{Partition: partition})
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.DescribeQuorumResponse](c, version, req)
	}
	last := int64(0)
	for v := int16(0); v <= 2; v++ {
		createTopic(t, c, "t"+string(rune('0'+v)), 1)
		r := ask(v, "__cluster_metadata", 0)
		p := r.Topics[0].Partitions[0]
		if r.ErrorCode != 0 || p.ErrorCode != 0 || p.LeaderID != 1 || p.LeaderEpoch < 1 || p.HighWatermark <= last || len(p.Observers) != 0 || len(p.CurrentVoters) != 1 {
			t.Fatalf("v%d: %+v", v, r)
		}
		last = p.HighWatermark
		voter := p.CurrentVoters[0]
		if voter.ReplicaID != 1 || voter.LogEndOffset != last || (v >= 1) != (voter.LastFetchTimestamp > 0) || (v >= 2) != (voter.ReplicaDirectoryID != [16]byte{}) {
			t.Errorf("v%d: voter %+v", v, voter)
		}
		if v >= 2 && (len(r.Nodes) != 1 || r.Nodes[0].Listeners[0].Host != nodetest.Host || r.Nodes[0].Listeners[0].Port != nodetest.KafkaPort) {
			t.Errorf("v%d: nodes %+v", v, r.Nodes)
		}
		wantCode(t, "another partition", ask(v, "__cluster_metadata", 1).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		wantCode(t, "another topic", ask(v, "t0", 0).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	}
}

func TestUpdateFeatures(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	const known = "eligible.leader.replicas.version"
	for _, tc := range []struct {
		name    string
		feature string
		level   int16
		kind    int8
		want    *kerr.Error
	}{
		{"what it has", known, 1, 1, nil},
		{"beyond", known, 2, 1, kerr.InvalidUpdateVersion},
		{"off", known, 0, 3, kerr.InvalidUpdateVersion},
		{"no kind", known, 1, 0, kerr.InvalidUpdateVersion},
		{"no such feature", "no.such", 1, 1, kerr.InvalidUpdateVersion},
		{"no such feature, off", "no.such", 0, 2, kerr.InvalidUpdateVersion},
		{"no name", "", 1, 1, kerr.InvalidUpdateVersion},
		{"the metadata's version", "metadata.version", 2, 1, kerr.InvalidUpdateVersion},
		{"the metadata's version in Kafka", "metadata.version", 30, 1, nil},
		{"the metadata's version in an older Kafka", "metadata.version", 25, 2, kerr.InvalidUpdateVersion},
		{"what a broker alone does not have", "kraft.version", 1, 1, kerr.InvalidUpdateVersion},
	} {
		for v := int16(1); v <= 2; v++ {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = tc.feature, tc.level, tc.kind
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			r := do[*kmsg.UpdateFeaturesResponse](c, v, req)
			wantCode(t, tc.name, r.ErrorCode, tc.want)
			if tc.want != nil && (r.ErrorMessage == nil || *r.ErrorMessage == "" || len(r.Results) > 0) {
				t.Errorf("%s: %+v", tc.name, r)
			}
		}
	}
}

// TestFeatures: clients see what works, by Kafka's names and levels, and nothing of the levels of our metadata.
func TestFeatures(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for v := int16(3); v <= 4; v++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1"
		r := do[*kmsg.ApiVersionsResponse](c, v, req)
		var finalized []string
		for _, f := range r.FinalizedFeatures {
			finalized = append(finalized, fmt.Sprint(f.Name, "=", f.MaxVersionLevel))
		}
		if !slices.Equal(finalized, []string{"eligible.leader.replicas.version=1", "group.version=1", "metadata.version=30", "share.version=1", "streams.version=1", "transaction.version=2"}) ||
			len(r.SupportedFeatures) != len(finalized) || r.FinalizedFeaturesEpoch < 1 {
			t.Errorf("v%d: supported %v, finalized %v as of %d", v, r.SupportedFeatures, finalized, r.FinalizedFeaturesEpoch)
		}
	}
}

func TestUnregisterBroker(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for id, want := range map[int32]*kerr.Error{9: kerr.BrokerIDNotRegistered, -1: kerr.BrokerIDNotRegistered, 1: kerr.InvalidRequest} {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = id
		wantCode(t, "unregister", do[*kmsg.UnregisterBrokerResponse](c, 0, req).ErrorCode, want)
	}
}

func TestANodeAloneHasNoVotersToChange(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for v := int16(0); v <= 1; v++ {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID, req.TimeoutMillis = 2, [16]byte{1}, 1000
		wantCode(t, "a voter without a listener", do[*kmsg.AddRaftVoterResponse](c, v, req).ErrorCode, kerr.InvalidRequest)
		req.Listeners = append(req.Listeners, kmsg.NewAddRaftVoterRequestListener())
		wantCode(t, "a voter", do[*kmsg.AddRaftVoterResponse](c, v, req).ErrorCode, kerr.UnsupportedVersion)
		req.ClusterID = kmsg.StringPtr("another")
		wantCode(t, "another cluster", do[*kmsg.AddRaftVoterResponse](c, v, req).ErrorCode, kerr.InconsistentClusterID)
	}
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	wantCode(t, "nobody", do[*kmsg.RemoveRaftVoterResponse](c, 0, req).ErrorCode, kerr.InvalidRequest)
	req.VoterID, req.VoterDirectoryID = 1, [16]byte{1}
	wantCode(t, "the only one", do[*kmsg.RemoveRaftVoterResponse](c, 0, req).ErrorCode, kerr.UnsupportedVersion)
}
