package api

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
)

// kafkaFeatures are what clients know by these names and what works here at that level, always.
//
// The levels of Kafka's metadata.version tell of its metadata records, which are not ours, and of what its brokers do. Tools and consoles name the
// release by it, so it is shown as that of the release whose requests are served; it cannot be changed. The level of Chronik's own metadata
// (command.MetadataVersion) is never shown.
var kafkaFeatures = []kafkaFeature{
	{name: "eligible.leader.replicas.version", level: 1}, // KIP-966
	{name: "group.version", level: 1},                    // KIP-848
	{name: "kraft.version", level: 1, cluster: true},     // KIP-853: voters can be added and removed
	{name: command.MetadataVersion, level: 30},           // 4.3-IV0
	{name: "share.version", level: 1},                    // KIP-932
	{name: "streams.version", level: 1},                  // KIP-1071
	{name: "transaction.version", level: 2},              // KIP-890: epochs that rise with each transaction
}

type kafkaFeature struct {
	name    string
	level   int16
	cluster bool // a broker alone does not have it
}

// offers tells whether this broker has a feature.
func (b *Broker) offers(f kafkaFeature) bool { return !f.cluster || b.Cluster != nil }

// features adds what is supported and what is finalized to an answer to ApiVersions (KIP-584).
func (b *Broker) features(resp *kmsg.ApiVersionsResponse) {
	im := b.image()
	resp.FinalizedFeaturesEpoch = int64(im.Index())
	supported := func(name string, from, to int16) {
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MinVersion, f.MaxVersion = name, from, to
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
	}
	finalized := func(name string, level int16) {
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, level, level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	for _, f := range kafkaFeatures {
		if !b.offers(f) {
			continue
		}
		supported(f.name, f.level, f.level)
		finalized(f.name, f.level)
	}
	if n := im.Node(b.NodeID); n != nil {
		for _, f := range n.Features {
			if f.Name != command.MetadataVersion {
				supported(f.Name, f.Min, f.Max)
			}
		}
	}
	levels := im.Features()
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		if name != command.MetadataVersion {
			finalized(name, levels[name])
		}
	}
}
