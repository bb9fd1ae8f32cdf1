package stream

import (
	"encoding/binary"
	"math"

	"chronik/internal/link"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// The types of frames. The first two go from the follower to the leader, the others back. All but frameBatches hold as many messages as the
// body is long.
const (
	frameSubscribes byte = link.FirstType + iota
	frameProgress
	frameAnswers
	frameWatermarks
	frameBatches
)

// listBytes is the size at which a frame of many small messages is sent, and another one begun.
const listBytes = 32 << 10

// What an element of frameProgress holds.
const (
	holdsAck    byte = 1
	holdsCredit byte = 2
)

// The kinds of answers.
const (
	answerAccepted byte = 1
	answerDiverged byte = 2
	answerRestart  byte = 3
	answerRefused  byte = 4
)

func appendSubscribe(b []byte, m *replication.Subscribe) []byte {
	b = append(b, m.TopicID[:]...)
	b = binary.AppendUvarint(b, uint64(m.Partition))
	b = binary.AppendUvarint(b, uint64(m.Subscription))
	b = appendEpoch(b, m.LeaderEpoch)
	b = binary.AppendUvarint(b, uint64(m.Broker))
	b = binary.AppendVarint(b, int64(m.BrokerEpoch))
	b = appendOwn(b, m.Own)
	b = appendEpoch(b, m.LastEpoch)
	return binary.AppendUvarint(b, uint64(m.Credit))
}

func (d *decoder) subscribe() (m replication.Subscribe) {
	if len(d.b) < len(m.TopicID) {
		d.fail("topic ID")
		return m
	}
	d.b = d.b[copy(m.TopicID[:], d.b):]
	m.Partition = int32(d.size("partition"))
	m.Subscription = d.subscription()
	m.LeaderEpoch = d.leaderEpoch("leader epoch")
	m.Broker = model.BrokerID(d.size("broker"))
	m.BrokerEpoch = d.brokerEpoch()
	m.Own = d.own()
	m.LastEpoch = d.leaderEpoch("last epoch")
	m.Credit = d.size("credit")
	return m
}

// appendProgress adds what a follower tells its leader of one partition. Both messages, if there are two, are of one subscription.
func appendProgress(b []byte, r *Report) []byte {
	what, number := byte(0), r.Ack.Subscription
	if r.HasAck {
		what |= holdsAck
	}
	if r.HasCredit {
		what |= holdsCredit
		number = r.Credit.Subscription
	}
	b = append(b, what)
	b = binary.AppendUvarint(b, uint64(number))
	if r.HasAck {
		b = appendEpoch(b, r.Ack.LeaderEpoch)
		b = binary.AppendVarint(b, int64(r.Ack.BrokerEpoch))
		b = appendOwn(b, r.Ack.Own)
	}
	if r.HasCredit {
		b = binary.AppendUvarint(b, uint64(r.Credit.Bytes))
	}
	return b
}

func (d *decoder) progress(r *Report) {
	what := d.byte("content")
	if what == 0 || what > holdsAck|holdsCredit {
		d.fail("content")
	}
	number := d.subscription()
	*r = Report{HasAck: what&holdsAck != 0, HasCredit: what&holdsCredit != 0}
	if r.HasAck {
		r.Ack = replication.Ack{Subscription: number, LeaderEpoch: d.leaderEpoch("leader epoch"), BrokerEpoch: d.brokerEpoch(), Own: d.own()}
	}
	if r.HasCredit {
		r.Credit = replication.Credit{Subscription: number, Bytes: d.size("credit")}
	}
}

func appendReply(b []byte, kind byte, r replication.Reply) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(r.Subscription))
	b = appendEpoch(b, r.LeaderEpoch)
	return binary.AppendVarint(b, int64(r.BrokerEpoch))
}

func appendAnswer(b []byte, a replication.Answer) []byte {
	switch m := a.(type) {
	case replication.Accepted:
		b = appendReply(b, answerAccepted, m.Reply)
		b = appendOffset(b, m.From)
		b = appendOffsetFrom(b, m.HighWatermark, m.From)
		b = appendOffset(b, m.LogStart)
	case replication.Diverged:
		b = appendReply(b, answerDiverged, m.Reply)
		b = appendEpoch(b, m.Epoch)
		b = appendOffset(b, m.EndOffset)
	case replication.Restart:
		b = appendReply(b, answerRestart, m.Reply)
		b = appendOffset(b, m.LogStart)
	case replication.Refused:
		b = appendReply(b, answerRefused, m.Reply)
		b = append(b, byte(m.Reason))
		b = appendEpoch(b, m.Current)
	}
	return b
}

func (d *decoder) answer() replication.Answer {
	kind := d.byte("kind")
	r := replication.Reply{Subscription: d.subscription(), LeaderEpoch: d.leaderEpoch("leader epoch"), BrokerEpoch: d.brokerEpoch()}
	switch kind {
	case answerAccepted:
		m := replication.Accepted{Reply: r, From: d.offset("first offset")}
		m.HighWatermark = d.offsetFrom("high watermark", m.From)
		m.LogStart = d.offset("log start")
		return m
	case answerDiverged:
		return replication.Diverged{Reply: r, Epoch: d.leaderEpoch("diverging epoch"), EndOffset: d.offset("end offset")}
	case answerRestart:
		return replication.Restart{Reply: r, LogStart: d.offset("log start")}
	case answerRefused: // a reason that is not known is still a refusal
		return replication.Refused{Reply: r, Reason: replication.Refusal(d.byte("reason")), Current: d.leaderEpoch("current epoch")}
	}
	d.fail("kind")
	return nil
}

func appendWatermark(b []byte, m *replication.Watermark) []byte {
	b = binary.AppendUvarint(b, uint64(m.Subscription))
	b = appendEpoch(b, m.LeaderEpoch)
	b = appendOffset(b, m.HighWatermark)
	return appendOffset(b, m.LogStart)
}

func (d *decoder) watermark() replication.Watermark {
	return replication.Watermark{
		Subscription: d.subscription(), LeaderEpoch: d.leaderEpoch("leader epoch"),
		HighWatermark: d.offset("high watermark"), LogStart: d.offset("log start"),
	}
}

// appendBatches writes what precedes the bytes, which are the rest of the frame.
func appendBatches(b []byte, m *replication.Batches) []byte {
	b = binary.AppendUvarint(b, uint64(m.Subscription))
	b = appendEpoch(b, m.LeaderEpoch)
	b = appendOffset(b, m.From)
	b = appendOffsetFrom(b, m.End, m.From)
	b = appendOffsetFrom(b, m.HighWatermark, m.From)
	return appendOffset(b, m.LogStart)
}

func (d *decoder) batches() replication.Batches {
	m := replication.Batches{Subscription: d.subscription(), LeaderEpoch: d.leaderEpoch("leader epoch"), From: d.offset("first offset")}
	m.End = d.offsetFrom("end", m.From)
	m.HighWatermark = d.offsetFrom("high watermark", m.From)
	m.LogStart = d.offset("log start")
	if m.From < 0 || m.End <= m.From || len(d.b) > math.MaxInt32 {
		d.fail("range of offsets")
	}
	m.Bytes, d.b = d.b, nil
	return m
}
