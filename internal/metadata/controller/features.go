package controller

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// metadataFeature is what this program reads of the metadata itself.
var metadataFeature = image.FeatureRange{Name: command.MetadataVersion, Min: command.VersionStandalone, Max: command.FormatVersion}

// Supported returns the features that this program supports, by name: its own, and that of the metadata. A node registers
// with them.
func (in Inputs) Supported() []image.FeatureRange {
	own := slices.DeleteFunc(slices.Clone(in.Features), func(f image.FeatureRange) bool { return f.Name == command.MetadataVersion })
	return slices.SortedFunc(slices.Values(append(own, metadataFeature)), func(a, b image.FeatureRange) int { return cmp.Compare(a.Name, b.Name) })
}

// minISRKey is written into the metadata when a cluster begins.
const minISRKey = "min.insync.replicas"

// FormCluster decides to turn the metadata of a node alone into that of a cluster, as the first decision of an active
// controller; no commands if it is one. min.insync.replicas becomes a value of the whole cluster: if each node took it from its
// own file, a leader could acknowledge with fewer replicas than elections rely on (R4).
func FormCluster(in Inputs) ([]*command.Command, error) {
	if in.Image.Clustered() {
		return nil, nil
	}
	for _, n := range in.Image.Nodes() {
		if n.ID != in.NodeID {
			return nil, refuse(FeatureUpdateFailed, "Node %d is registered in metadata that belongs to a node alone, node %d: remove its registration first.", n.ID, in.NodeID)
		}
	}
	set, err := in.settings()
	if err != nil {
		return nil, err
	}
	return []*command.Command{
		command.Feature(command.MetadataVersion, command.VersionCluster),
		command.ClusterConfig(command.Values(map[string]string{minISRKey: strconv.Itoa(int(set.topic.MinInsyncReplicas))}), nil),
	}, nil
}

// checkFeatures refuses a node whose program does not support what is finalized.
func checkFeatures(in Inputs, r Registration) *Refusal {
	finalized := maps.Clone(in.Image.Features())
	for _, name := range slices.Sorted(maps.Keys(finalized)) {
		level, f := finalized[name], find(r.Features, name)
		if level < f.Min || level > f.Max {
			return refuse(UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. The broker wants a "+
				"version between %d and %d, inclusive.", level, name, f.Min, f.Max)
		}
	}
	return nil
}

// find returns the levels that are supported of a feature, 0 to 0 if it is not known.
func find(list []image.FeatureRange, name string) image.FeatureRange {
	i := slices.IndexFunc(list, func(f image.FeatureRange) bool { return f.Name == name })
	if i < 0 {
		return image.FeatureRange{Name: name}
	}
	return list[i]
}

// UpgradeType is the direction that a feature update allows, with the protocol's numbers.
type UpgradeType int8

// The directions.
const (
	Upgrade         UpgradeType = 1
	SafeDowngrade   UpgradeType = 2
	UnsafeDowngrade UpgradeType = 3
)

// FeatureUpdate asks for a feature's finalized level.
type FeatureUpdate struct {
	Feature string
	Level   int16 // 0: no longer finalized
	Type    UpgradeType
}

// UpdateFeatures decides about finalized levels. It is done whole or not at all; errs has an error, or nil, for each update.
func UpdateFeatures(in Inputs, updates []FeatureUpdate, validateOnly bool) (commands []*command.Command, errs []error) {
	errs = make([]error, len(updates))
	failed := false
	seen := map[string]bool{}
	for i, u := range updates {
		r := checkUpdate(in, u)
		if seen[u.Feature] {
			r = refuse(InvalidRequest, "The feature %s appears more than once.", u.Feature)
		}
		seen[u.Feature] = true
		if r != nil {
			errs[i], failed = r, true
			continue
		}
		if u.Level != in.Image.Features()[u.Feature] {
			commands = append(commands, command.Feature(u.Feature, u.Level))
		}
	}
	if failed || validateOnly {
		return nil, errs
	}
	return commands, errs
}

func checkUpdate(in Inputs, u FeatureUpdate) *Refusal {
	bad := func(format string, args ...any) *Refusal {
		return refuse(InvalidUpdateVersion, "Invalid update version %d for feature %s. "+format, append([]any{u.Level, u.Feature}, args...)...)
	}
	current := in.Image.Features()[u.Feature]
	if u.Feature == command.MetadataVersion {
		current = int16(in.Image.MetadataVersion())
	}
	switch {
	case u.Feature == "":
		return refuse(InvalidRequest, "A feature has no name.")
	case u.Type < Upgrade || u.Type > UnsafeDowngrade:
		return bad("The controller does not support the given upgrade type.")
	case u.Level < 0:
		return bad("A feature version cannot be less than 0.")
	case u.Level < current && u.Type == Upgrade:
		return bad("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case u.Level > current && u.Type != Upgrade:
		return bad("Can't downgrade to a newer version.")
	case u.Feature == command.MetadataVersion && u.Level < current:
		return bad("The log holds records of version %d, which older programs cannot read.", current)
	case u.Feature == command.MetadataVersion && u.Level > current && !in.Image.Clustered():
		return bad("This node is alone: its metadata becomes that of a cluster when it is started as one.")
	}
	if r := unsupported(u, "Controller", in.NodeID, in.Supported()); r != "" {
		return bad("%s", r)
	}
	for _, n := range in.Image.Nodes() {
		if r := unsupported(u, "Broker", n.ID, n.Features); r != "" && len(n.Features) > 0 {
			return bad("%s", r)
		}
	}
	return nil
}

// unsupported says why a level cannot be finalized as far as one node is concerned; empty if it can.
func unsupported(u FeatureUpdate, who string, id model.BrokerID, features []image.FeatureRange) string {
	f := find(features, u.Feature)
	name := who + " " + strconv.Itoa(int(id))
	switch {
	case u.Level == 0, u.Level >= f.Min && u.Level <= f.Max:
		return ""
	case f.Max == 0:
		return name + " does not support this feature."
	}
	return name + " only supports versions " + strconv.Itoa(int(f.Min)) + "-" + strconv.Itoa(int(f.Max))
}
