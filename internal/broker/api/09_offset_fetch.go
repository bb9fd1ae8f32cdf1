package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Versions of OffsetFetch that have more.
const (
	fetchGroupError = 2 // before, each partition has the error
	fetchManyGroups = 8
	fetchTopicIDs   = 10
)

// OffsetFetch (9), versions 1 to 10: offsets that are settled, each once; a group that does not exist has none. Version 2 makes null mean
// all of them, 5 has leader epochs (KIP-320), 7 refuses what is about to change (KIP-447), 8 has several groups (KIP-709), 9 member epochs
// (KIP-848), 10 topic IDs (KIP-848).
func (b *Broker) offsetFetch(ctx context.Context, _ *server.Request, req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	im := b.image()
	if req.Version < fetchManyGroups {
		g := b.beginOffsetFetch(im, severalGroups(req), req).finish(ctx)
		inOneGroup(resp, &g)
		return resp
	}
	seen := make(map[string]bool, len(req.Groups))
	var asked []*offsetFetching
	for i := range req.Groups {
		if g := &req.Groups[i]; !seen[g.Group] {
			seen[g.Group] = true
			asked = append(asked, b.beginOffsetFetch(im, g, req))
		}
	}
	for _, f := range asked {
		resp.Groups = append(resp.Groups, f.finish(ctx))
	}
	return resp
}

// severalGroups is a request for one group as later versions have it.
func severalGroups(req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchRequestGroup {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics == nil {
		return &g
	}
	g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
	for i, t := range req.Topics {
		g.Topics[i] = kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
	}
	return &g
}

// inOneGroup is the answer as it was before.
func inOneGroup(resp *kmsg.OffsetFetchResponse, g *kmsg.OffsetFetchResponseGroup) {
	resp.ErrorCode = g.ErrorCode
	resp.Topics = make([]kmsg.OffsetFetchResponseTopic, len(g.Topics))
	for i, t := range g.Topics {
		out := &resp.Topics[i]
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.OffsetFetchResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			if g.ErrorCode != 0 {
				p.ErrorCode = g.ErrorCode
			}
			out.Partitions[j] = kmsg.OffsetFetchResponseTopicPartition(p)
		}
	}
}

// offsetFetching is one group's part of a request.
type offsetFetching struct {
	im      *image.Image
	version int16
	byID    bool
	out     kmsg.OffsetFetchResponseGroup
	all     bool                                           // whatever the group has
	asked   []*kmsg.OffsetFetchResponseGroupTopicPartition // of out: what the group was asked for
	reply   pending[group.FetchReply]
}

// beginOffsetFetch asks a group for what can be asked, and lays out the answer.
func (b *Broker) beginOffsetFetch(im *image.Image, g *kmsg.OffsetFetchRequestGroup, req *kmsg.OffsetFetchRequest) *offsetFetching {
	f := &offsetFetching{im: im, byID: req.Version >= fetchTopicIDs, version: req.Version, all: g.Topics == nil}
	f.out.Group = g.Group
	in := group.FetchRequest{Group: g.Group, Stable: req.RequireStable, Epoch: g.MemberEpoch}
	if g.MemberID != nil {
		in.Member = *g.MemberID
	}
	if !f.all {
		in.Partitions = []model.TopicPartition{} // not nil, which is all
	}
	for i := range g.Topics {
		in.Partitions = f.lay(in.Partitions, &g.Topics[i])
	}
	f.reply = begin(b, g.Group, func(m *group.Machine, _ time.Time, reply func(group.FetchReply)) shard.Result {
		out := m.Fetch(in)
		return shard.Result{Sees: model.NoOffset, Reply: func(err error) {
			if err != nil {
				out = group.FetchReply{Err: err}
			}
			reply(out)
		}}
	})
	return f
}

// lay adds a topic to the answer, without offsets, and what is to be asked to a list.
func (f *offsetFetching) lay(list []model.TopicPartition, t *kmsg.OffsetFetchRequestGroupTopic) []model.TopicPartition {
	partitions := distinct(t.Partitions)
	name, code := t.Topic, int16(0)
	if f.byID {
		topic, err := topicOf(f.im, "", t.TopicID, true)
		if err == nil {
			name = topic.Name
		}
		code = Code(err)
	}
	out := kmsg.OffsetFetchResponseGroupTopic{
		Topic: t.Topic, TopicID: t.TopicID, Partitions: make([]kmsg.OffsetFetchResponseGroupTopicPartition, len(partitions)),
	}
	for i, n := range partitions {
		p := &out.Partitions[i]
		*p = noOffset(n)
		p.ErrorCode = code
		if code == 0 {
			list = append(list, model.TopicPartition{Topic: name, Partition: n})
			f.asked = append(f.asked, p)
		}
	}
	f.out.Topics = append(f.out.Topics, out)
	return list
}

// noOffset is a partition for which nothing was committed.
func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{
		Partition: partition, Offset: int64(model.NoOffset), LeaderEpoch: int32(model.NoEpoch), Metadata: new(string),
	}
}

// finish waits for the group's answer.
func (f *offsetFetching) finish(ctx context.Context) kmsg.OffsetFetchResponseGroup {
	got, err := f.reply.wait(ctx)
	if err = firstOf(err, got.Err); err != nil {
		f.out.ErrorCode = fetchCode(err)
		if f.version >= fetchGroupError {
			f.out.Topics = nil
		}
		return f.out
	}
	for i, p := range f.asked {
		f.fill(p, &got.Offsets[i])
	}
	if f.all {
		f.addAll(got.Offsets)
	}
	return f.out
}

// fill is one offset, unless it is another topic's, which had the name before (L5).
func (f *offsetFetching) fill(p *kmsg.OffsetFetchResponseGroupTopicPartition, o *group.FetchedOffset) {
	if f.orphaned(o) {
		return
	}
	p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = int64(o.Offset), int32(o.LeaderEpoch), &o.Metadata, groupCode(o.Err)
}

func (f *offsetFetching) orphaned(o *group.FetchedOffset) bool {
	t := f.im.Topic(o.Topic)
	return t != nil && !o.TopicID.IsZero() && o.TopicID != t.ID
}

// addAll adds what a group has to its answer. Where topics go by IDs, those that have none are left out.
func (f *offsetFetching) addAll(offsets []group.FetchedOffset) {
	for i := range offsets {
		o := &offsets[i]
		if f.orphaned(o) {
			continue
		}
		id := o.TopicID
		if t := f.im.Topic(o.Topic); id.IsZero() && t != nil {
			id = t.ID
		}
		if f.byID && id.IsZero() {
			continue
		}
		n := len(f.out.Topics)
		if n == 0 || f.out.Topics[n-1].Topic != o.Topic {
			f.out.Topics = append(f.out.Topics, kmsg.OffsetFetchResponseGroupTopic{Topic: o.Topic, TopicID: id})
			n++
		}
		p := noOffset(o.Partition)
		f.fill(&p, o)
		f.out.Topics[n-1].Partitions = append(f.out.Topics[n-1].Partitions, p)
	}
}

// fetchCode is groupCode for consumers that do not know COORDINATOR_NOT_AVAILABLE here.
func fetchCode(err error) int16 {
	if code := groupCode(err); code != kerr.CoordinatorNotAvailable.Code {
		return code
	}
	return kerr.NotCoordinator.Code
}
