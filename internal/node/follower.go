package node

import (
	"log/slog"
	"slices"
	"sync/atomic"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// follower brings this broker's partitions and configuration to what the metadata say. Its changes come one after
// the other, from the goroutine that applies the metadata log, before the proposer is answered.
type follower struct {
	node     model.BrokerID
	static   map[string]string
	replicas *replica.Set
	log      *slog.Logger

	coordinators []coordinator

	// Of a node of a cluster.

	incarnation image.UUID                       // of this process: what its registration grants is known when the metadata have it (R1)
	nodes       func(*image.Image, *image.Delta) // hears of changes of nodes, before partitions follow them

	current atomic.Pointer[effective]
}

// effective is what the configuration layers amount to at one image.
type effective struct {
	layers config.Layers
	broker *config.Broker
	topic  *config.Topic
}

// start takes the image that the log led to at start.
func (f *follower) start(im *image.Image) error {
	if err := f.configure(im); err != nil {
		return err
	}
	f.granted(im)
	f.throttle(f.current.Load().broker)
	for t := range im.Topics() {
		f.ensure(t, f.current.Load())
	}
	f.judgeGroups(im, im.ConfiguredGroups())
	f.replicas.Started()
	for _, c := range f.coordinators {
		c.Start(im)
	}
	return nil
}

// configure takes the configuration that an image amounts to.
func (f *follower) configure(im *image.Image) error {
	eff, err := f.resolve(im)
	if err == nil {
		f.current.Store(eff)
	}
	return err
}

// granted tells the partitions which broker epochs there are. They have no roles before this incarnation has its own.
func (f *follower) granted(im *image.Image) {
	self := im.Node(f.node)
	if f.incarnation == (image.UUID{}) || self == nil || self.Incarnation != f.incarnation {
		return
	}
	f.replicas.Registered(model.BrokerEpoch(self.Epoch), func(id model.BrokerID) (model.BrokerEpoch, bool) {
		n := im.Node(id)
		if n == nil {
			return model.NoBrokerEpoch, false
		}
		return model.BrokerEpoch(n.Epoch), n.Active() // a stopping one joins no ISR, and is not asked to
	})
}

// apply follows one change; it implements quorum.Applied.
func (f *follower) apply(im *image.Image, d *image.Delta) {
	f.change(im, d)
	f.replicas.Followed()
	for _, c := range f.coordinators {
		c.Follow(im, d)
	}
}

// change brings configuration and partitions to the metadata. Deletions come first: a topic may be deleted and created again in one batch.
func (f *follower) change(im *image.Image, d *image.Delta) {
	for _, t := range d.TopicsDeleted {
		for n := range t.Partitions {
			f.replicas.Remove(model.TopicPartition{Topic: t.Name, Partition: int32(n)})
		}
	}
	for _, tp := range d.Unclean {
		f.log.Error("a leader was elected that may lack acknowledged records: they are lost (unclean.leader.election.enable)", "partition", tp.String())
	}
	if len(d.NodesChanged) > 0 && f.nodes != nil {
		f.nodes(im, d)
		f.granted(im)
	}
	f.judgeGroups(im, d.GroupConfigs)
	f.abandon(d)
	if d.ClusterConfig || len(d.NodeConfigs) > 0 {
		f.reconfigure(im)
		return
	}
	eff := f.current.Load()
	for _, t := range d.TopicsCreated {
		f.ensure(t, eff)
	}
	for _, t := range d.TopicConfigs {
		f.ensure(t, eff)
	}
	for _, p := range d.Partitions {
		f.log.Debug("a partition has changed", "topic", p.Topic.Name, "partition", p.Partition, "leader", int32(p.New.Leader),
			"leader_epoch", int32(p.New.LeaderEpoch), "isr", p.New.ISR, "elr", p.New.ELR)
		f.ensureOne(p.Topic, p.Partition, f.settings(p.Topic, eff))
	}
}

// abandon removes the partitions that a reassignment has taken from this node.
func (f *follower) abandon(d *image.Delta) {
	for _, p := range d.Partitions {
		if p.Old != nil && slices.Contains(p.Old.Replicas, f.node) && !slices.Contains(p.New.Replicas, f.node) {
			f.replicas.Remove(model.TopicPartition{Topic: p.Topic.Name, Partition: p.Partition})
		}
	}
}

// reconfigure resolves everything anew: a dynamic value of the broker can be any topic's default.
func (f *follower) reconfigure(im *image.Image) {
	eff, err := f.resolve(im)
	if err != nil {
		f.log.Error("the broker's dynamic configuration cannot be used; the previous one stays in effect", "error", err)
		eff = f.current.Load()
	}
	f.current.Store(eff)
	f.throttle(eff.broker)
	for t := range im.Topics() {
		f.ensure(t, eff)
	}
}

// throttle bounds what replicas that catch up or move may take (KIP-73).
func (f *follower) throttle(b *config.Broker) {
	f.replicas.Throttle(replica.Rates{Leader: b.LeaderThrottledRate, Follower: b.FollowerThrottledRate, Dirs: b.AlterDirsRate})
}

func (f *follower) resolve(im *image.Image) (*effective, error) {
	l := im.Layers(f.static, f.node)
	b, err := l.Broker()
	if err != nil {
		return nil, err
	}
	t, err := l.Topic()
	if err != nil {
		return nil, err
	}
	return &effective{layers: l, broker: b, topic: t}, nil
}

func (f *follower) broker() *config.Broker { return f.current.Load().broker }

func (f *follower) layers() config.Layers { return f.current.Load().layers }

// ensure brings all partitions of a topic that have a replica here to the metadata.
func (f *follower) ensure(t *image.Topic, eff *effective) {
	settings := f.settings(t, eff)
	for n := range t.Partitions {
		f.ensureOne(t, int32(n), settings)
	}
}

// settings are what the topic's configuration means. If a stored value cannot be used, the topic gets the broker's
// defaults, loudly, but for retention: nothing is deleted that somebody may have wanted to keep.
func (f *follower) settings(t *image.Topic, eff *effective) *replica.Settings {
	c, err := eff.topic.With(t.Configs)
	if err == nil {
		return replica.SettingsOf(c, int64(eff.broker.ProducerIDExpireMs))
	}
	f.log.Error("a topic's stored configuration cannot be used: it has the broker's defaults, and nothing of it is deleted; correct it with kafka-configs",
		"topic", t.Name, "error", err)
	s := replica.SettingsOf(eff.topic, int64(eff.broker.ProducerIDExpireMs))
	s.Log.RetentionBytes, s.Log.RetentionMs = -1, -1
	return s
}

// judgeGroups says which groups' stored values cannot be used: they have the broker's.
func (f *follower) judgeGroups(im *image.Image, groups []string) {
	for _, id := range groups {
		if _, err := f.broker().Group(im.GroupConfigs(id)); err != nil {
			f.log.Error("a group's stored configuration cannot be used: it has the broker's values; correct it with kafka-configs", "group", id, "error", err)
		}
	}
}

func (f *follower) ensureOne(t *image.Topic, n int32, settings *replica.Settings) {
	p := t.Partitions[n]
	for _, id := range p.Replicas {
		if id != f.node {
			continue
		}
		f.replicas.Ensure(replica.Assignment{
			Partition: model.TopicPartition{Topic: t.Name, Partition: n}, TopicID: t.ID, State: p, Settings: settings,
		})
	}
}
