package replication

import "chronik/internal/model"

// Subscription numbers what a follower asked for. The follower chooses it, never the same twice in one incarnation of its
// broker, so an answer to a question that it has given up on, and the stream that follows from one, are known as such.
type Subscription uint64

// Own is the state of a log.
type Own struct {
	Start  model.Offset // the first offset that is held
	End    model.Offset // the offset that the next record gets
	Synced model.Offset // everything below it is durable (D1); at most End
}

// Subscribe asks a leader for everything from End on. It is sent anew, with another number, after each truncation, and
// when an answer does not come.
type Subscribe struct {
	TopicID      model.TopicID
	Partition    int32
	Subscription Subscription
	LeaderEpoch  model.LeaderEpoch // in which the follower believes the leader to lead
	Broker       model.BrokerID    // the follower
	BrokerEpoch  model.BrokerEpoch
	Own          Own
	LastEpoch    model.LeaderEpoch // of the follower's last batch; model.NoEpoch if it holds none
	Credit       int               // bytes that the leader may send before it hears of more
}

// Reply is what every answer to a Subscribe begins with: the question that it answers.
type Reply struct {
	Subscription Subscription
	LeaderEpoch  model.LeaderEpoch
	BrokerEpoch  model.BrokerEpoch // of the follower
}

// About returns the question that is answered.
func (r Reply) About() Reply { return r }

// Answer is Accepted, Diverged, Restart or Refused.
type Answer interface{ About() Reply }

// Accepted: the logs agree up to From, which is the end that the follower named. Batches follow.
type Accepted struct {
	Reply
	From          model.Offset
	HighWatermark model.Offset
	LogStart      model.Offset
}

// Diverged: the logs part. Epoch is the largest one in the leader's log that is not above the follower's last, and
// EndOffset is where it ends there (KIP-101, KIP-279). The follower cuts its log and asks again.
type Diverged struct {
	Reply
	Epoch     model.LeaderEpoch
	EndOffset model.Offset
}

// Restart: nothing that the follower holds is of use, it all lies below the leader's log start. The follower drops it and begins,
// empty, at LogStart. The leader may also say so in the middle of a stream, if retention has overtaken it, or if an empty follower began inside of
// a batch: LogStart is the batch's base offset then, and below the log start if that lies inside of it.
type Restart struct {
	Reply
	LogStart model.Offset
}

// Refusal is why a leader does not take a subscription.
type Refusal uint8

// The reasons of Refused. Unless it says otherwise, the follower asks again after a while.
const (
	_                  Refusal = iota
	NotLeading                 // the broker does not lead the partition, or not any more; the metadata will say who does
	FencedLeaderEpoch          // the follower's leader epoch is older than the leader's: it has to hear the metadata first
	UnknownLeaderEpoch         // it is newer: the leader has to
	NotReplica                 // the leader does not know the follower as a replica of the partition
	FencedBrokerEpoch          // the follower's broker epoch is older than the one the leader knows
	UnknownBrokerEpoch         // it is newer: the leader has not heard of the registration
	BadSubscribe               // no log can be in the state that was told
)

// String names the reason for a log line.
func (r Refusal) String() string {
	switch r {
	case NotLeading:
		return "not the leader"
	case FencedLeaderEpoch:
		return "leader epoch is fenced"
	case UnknownLeaderEpoch:
		return "leader epoch is not known yet"
	case NotReplica:
		return "not a replica"
	case FencedBrokerEpoch:
		return "broker epoch is fenced"
	case UnknownBrokerEpoch:
		return "broker epoch is not known yet"
	case BadSubscribe:
		return "impossible log state"
	}
	return "unknown reason"
}

// Refused: no subscription.
type Refused struct {
	Reply
	Reason  Refusal
	Current model.LeaderEpoch // the leader's; model.NoEpoch if it leads in none
}

// Batches carries record batches from the leader's log, in order and without a hole: first From to its own end, then from
// there. It may be sent before the leader has synced them.
type Batches struct {
	Subscription Subscription
	LeaderEpoch  model.LeaderEpoch // of the leader; that of the batches may be older
	// From is where the stream goes on, the End of the message before it. The first batch may begin later: compaction leaves gaps.
	From model.Offset
	// End is one past the last record.
	End           model.Offset
	Bytes         []byte
	HighWatermark model.Offset
	LogStart      model.Offset
}

// Watermark tells a follower that has no batches to hear of that the watermark or the log start moved.
type Watermark struct {
	Subscription  Subscription
	LeaderEpoch   model.LeaderEpoch
	HighWatermark model.Offset
	LogStart      model.Offset
}

// Ack tells the leader how far the follower's log agrees with its own, and how far it is durable.
type Ack struct {
	Subscription Subscription
	LeaderEpoch  model.LeaderEpoch
	BrokerEpoch  model.BrokerEpoch // of the follower
	Own          Own
}

// Credit lets the leader send more bytes than it was allowed before.
type Credit struct {
	Subscription Subscription
	Bytes        int
}
