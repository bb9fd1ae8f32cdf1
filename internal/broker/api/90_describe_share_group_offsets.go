package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// DescribeShareGroupOffsets (90), versions 0 to 1: from where on share groups have records left to do in partitions (KIP-932). If a request names no topics, it
// is about all partitions that have begun for the group, which its coordinator knows. Version 1 has how many records are left to do (KIP-1226).
func (b *Broker) describeShareGroupOffsets(ctx context.Context, _ *server.Request, req *kmsg.DescribeShareGroupOffsetsRequest) *kmsg.DescribeShareGroupOffsetsResponse {
	im := b.image()
	all := make([]shareOffsets, len(req.Groups))
	var latest latestOffsets
	for i := range req.Groups {
		all[i].ask(ctx, b, im, &req.Groups[i])
	}
	for i := range all {
		all[i].wait(ctx, &latest)
	}
	latest.find(ctx, b)
	resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
	for i := range all {
		resp.Groups = append(resp.Groups, all[i].answer(&latest))
	}
	return resp
}

// shareOffsets is one group's part of a request.
type shareOffsets struct {
	out   kmsg.DescribeShareGroupOffsetsResponseGroup
	asked []askedShare
}

// askedShare is a partition of which it is asked where the group is.
type askedShare struct {
	partition model.TopicPartition
	topic, at int // in the answer
	state     chan summarized
	summary   summarized
}

type summarized struct {
	share.State
	err error
}

func (s *shareOffsets) ask(ctx context.Context, b *Broker, im *image.Image, req *kmsg.DescribeShareGroupOffsetsRequestGroup) {
	s.out = kmsg.NewDescribeShareGroupOffsetsResponseGroup()
	s.out.GroupID = req.GroupID
	topics := req.Topics
	if topics == nil {
		begun, err := askGroup(ctx, b, req.GroupID, func(m *group.Machine, _ time.Time, reply func(begunShares)) shard.Result {
			return m.SharePartitions(req.GroupID, func(p []group.DescribedPartitions, err error) { reply(begunShares{p, err}) })
		})
		if err = firstOf(err, begun.err); err != nil {
			s.out.ErrorCode, s.out.ErrorMessage = groupCode(err), message(err)
			return
		}
		for _, t := range begun.all {
			topics = append(topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
	}
	for i := range topics {
		t := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
		t.Topic = topics[i].Topic
		known := im.Topic(t.Topic)
		if known != nil {
			t.TopicID = known.ID
		}
		for at, n := range topics[i].Partitions {
			p := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
			p.Partition, p.StartOffset = n, int64(model.NoOffset)
			t.Partitions = append(t.Partitions, p)
			if known == nil { // there is nothing to tell, which is no error
				continue
			}
			a := askedShare{partition: model.TopicPartition{Topic: t.Topic, Partition: n}, topic: i, at: at, state: make(chan summarized, 1)}
			b.ShareStates.Summarize(share.Key{Group: req.GroupID, TopicID: known.ID, Partition: n}, func(st share.State, err error) {
				a.state <- summarized{st, err}
			})
			s.asked = append(s.asked, a)
		}
		s.out.Topics = append(s.out.Topics, t)
	}
}

type begunShares struct {
	all []group.DescribedPartitions
	err error
}

// wait waits for where the group is, and notes of which partitions the end has to be known.
func (s *shareOffsets) wait(ctx context.Context, latest *latestOffsets) {
	for i := range s.asked {
		a := &s.asked[i]
		select {
		case a.summary = <-a.state:
		case <-ctx.Done():
			a.summary.err = errNoCoordinator
		}
		if a.lags() {
			latest.want(a.partition)
		}
	}
}

// lags tells whether it can be said how many records are left.
func (a *askedShare) lags() bool {
	return a.summary.err == nil && a.summary.Start != model.NoOffset && a.summary.Complete != share.Unknown
}

func (s *shareOffsets) answer(latest *latestOffsets) kmsg.DescribeShareGroupOffsetsResponseGroup {
	for i := range s.asked {
		a := &s.asked[i]
		p := &s.out.Topics[a.topic].Partitions[a.at]
		if a.summary.err != nil {
			if !errors.Is(a.summary.err, share.ErrUnknownPartition) { // there is nothing to tell, which is no error
				p.ErrorCode, p.ErrorMessage = shareCode(a.summary.err), message(a.summary.err)
			}
			continue
		}
		p.StartOffset, p.LeaderEpoch = int64(a.summary.Start), a.summary.LeaderEpoch
		if !a.lags() {
			continue
		}
		end, err := latest.of(a.partition)
		if err != nil {
			p.StartOffset, p.LeaderEpoch, p.ErrorCode, p.ErrorMessage = 0, 0, Code(err), message(err)
			continue
		}
		p.Lag = int64(end-a.summary.Start) - int64(a.summary.Complete)
	}
	return s.out
}
