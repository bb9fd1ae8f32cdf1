package api

import (
	"chronik/internal/broker/fetchsession"
	"chronik/internal/config"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/replica"
	"chronik/internal/wire"
)

// Deps is what the handlers stand on.
type Deps struct {
	NodeID   model.BrokerID
	Metadata quorum.Log
	Replicas *replica.Set
	// Static are the node's static broker keys (config.Server.StaticKeys).
	Static map[string]string
	// Config returns the broker's effective configuration; it is called for every request that needs it.
	Config func() *config.Broker
	// Space reports the size of a data directory's disk and what is free of it, in bytes.
	Space func(dir string) (total, free uint64, err error)
	// Cluster reaches the other brokers; nil: there are none.
	Cluster *Cluster
	// Groups are those that this broker coordinates; nil: none.
	Groups Groups
	// Transactions are those that this broker coordinates; nil: none.
	Transactions Transactions
	// Shares are the share partitions whose state this broker keeps; nil: none.
	Shares sharestate.Coordinator
	// ShareStates asks whoever keeps the state of share partitions; nil: there is nobody to ask.
	ShareStates ShareStates
	// Sharing serves share groups from the partitions that this broker leads; nil: none.
	Sharing Sharing
}

// Broker answers requests. Make one with New, and Close it.
type Broker struct {
	Deps
	table          *wire.Table
	sessions       *fetchsession.Cache
	ids            producerIDs
	joiner         joiner
	internalTopics internalTopics // of streams groups
	errands        errands
	creating       chan struct{} // of capacity 1: full while a topic of coordinators is created
	byRack         bool          // consumers may read from a replica of their rack (KIP-392)

	offsetsAsked offsetsAsked
}

// New returns a Broker, which implements server.Handler.
func New(d Deps) (*Broker, error) {
	table, err := Table()
	if err != nil {
		return nil, err
	}
	if d.Groups == nil {
		d.Groups = noGroups{}
	}
	if d.Transactions == nil {
		d.Transactions = noTransactions{}
	}
	if d.Shares == nil {
		d.Shares = noShares{}
	}
	if d.ShareStates == nil {
		d.ShareStates = noShares{}
	}
	if d.Sharing == nil {
		d.Sharing = noSharing{}
	}
	b := &Broker{
		Deps: d, table: table, creating: make(chan struct{}, 1), sessions: fetchsession.NewCache(int(d.Config().FetchSessionSlots)),
		byRack: d.Config().RackAwareReads,
	}
	b.joiner.b, b.internalTopics.b = b, b
	b.errands.open()
	return b, nil
}

// Close ends what requests have left to be done, and waits for that. It is called once no request is being handled and whoever coordinates
// transactions here has stopped, so that all who asked have their answers, and before what Deps names is closed.
func (b *Broker) Close() { b.errands.close() }

// Table is what the broker serves.
func (b *Broker) Table() *wire.Table { return b.table }

// image is the newest metadata.
func (b *Broker) image() *image.Image { return b.Metadata.Images().Load() }

// partition finds a partition of this broker. Of one that other brokers have the error tells who leads it.
func (b *Broker) partition(tp model.TopicPartition) (*replica.Replica, error) {
	if r := b.Replicas.Get(tp); r != nil {
		return r, nil
	}
	t := b.image().Topic(tp.Topic)
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return nil, errUnknownTopic
	}
	p := t.Partitions[tp.Partition]
	return nil, &replica.LeaderError{Err: replica.ErrNotLeader, Leader: p.Leader, Epoch: p.LeaderEpoch}
}

// partitionOf finds a partition by what a fetch calls it: a topic ID or a name.
func (b *Broker) partitionOf(k fetchsession.Key, byID bool) (*replica.Replica, error) {
	if !byID {
		return b.partition(model.TopicPartition{Topic: k.Topic, Partition: k.Partition})
	}
	name, err := b.topicName(k.ID)
	if err != nil {
		return nil, err
	}
	r, err := b.partition(model.TopicPartition{Topic: name, Partition: k.Partition})
	if err == nil && r.TopicID() != k.ID {
		return nil, errUnknownTopicID // deleted and created again between the two looks
	}
	return r, err
}

func (b *Broker) topicName(id model.TopicID) (string, error) {
	if t := b.image().TopicByID(id); t != nil {
		return t.Name, nil
	}
	return "", errUnknownTopicID
}
