package api

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
)

// kafkaFeatures are what clients know by these names and what works here at that level, always.
//
// metadata.version is not among them: clients do not need it, and the levels of Kafka's tell of its records, which are not ours.
var kafkaFeatures = []struct {
	name  string
	level int16
}{
	{"eligible.leader.replicas.version", 1}, // KIP-966
}

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
