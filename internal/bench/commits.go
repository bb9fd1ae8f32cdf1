package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commits is mode commit: each connection commits offsets of a group of its own that has no members. Each request outstanding on it has a partition of its own, whose
// offsets it commits as 1, 2, 3, so that what is fetched back at the end is what was acknowledged last, and all of it adds up to their number.
func (r *run) commits(ctx context.Context) error {
	var all []*committer
	for c := range r.opts.Connections {
		cl, err := kgo.NewClient(r.opts.baseOptions()...)
		if err != nil {
			return fmt.Errorf("options that the client refuses: %w", err)
		}
		defer cl.Close()
		n := r.opts.Concurrency / r.opts.Connections
		if c < r.opts.Concurrency%r.opts.Connections {
			n++
		}
		for p := range n {
			all = append(all, &committer{cl: cl, topic: r.topic, group: fmt.Sprintf("%s-%d", r.topic.Name, c), partition: int32(p)})
		}
	}
	workers := make([]step, len(all))
	for i, c := range all {
		if _, err := c.commit(ctx); err != nil { // the groups' topic may have to be made first
			return explain("commit a first offset", err)
		}
		workers[i] = c.commit
	}
	made, err := r.steps(ctx, workers)
	if err != nil {
		return err
	}
	r.result.Verification, err = r.fetchedBack(ctx, all, made+int64(len(all)))
	return err
}

// fetchedBack compares the groups' offsets with what was acknowledged.
func (r *run) fetchedBack(ctx context.Context, all []*committer, made int64) (*Verification, error) {
	v := &Verification{OK: true, Depth: VerifyFull, Counted: made}
	for i, c := range all {
		if i > 0 && all[i-1].group == c.group {
			continue // asked already
		}
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		offsets, err := r.cluster.adm.FetchOffsets(ctx, c.group)
		cancel()
		if err != nil {
			return nil, explain("fetch the offsets of group "+c.group, err)
		}
		for _, c := range all[i:] {
			o, ok := offsets.Lookup(c.topic.Name, c.partition)
			if !ok || c.group != all[i].group {
				break
			}
			v.ReadBack++
			v.Growth += o.At
			if o.Err != nil || o.At != c.last {
				v.problem("group %s, partition %d: offset %d was acknowledged last, %d is fetched (%v)", c.group, c.partition, c.last, o.At, o.Err)
			}
		}
	}
	if v.ReadBack != int64(len(all)) {
		v.problem("%d of %d committed partitions are there", v.ReadBack, len(all))
	}
	if v.Growth != made {
		v.problem("the offsets fetched add up to %d, %d commits were acknowledged", v.Growth, made)
	}
	v.Note = fmt.Sprintf("%d commits acknowledged; the offsets of %d partitions fetched back add up to %d", made, v.ReadBack, v.Growth)
	return v, nil
}

// committer has one commit outstanding at a time.
type committer struct {
	cl        *kgo.Client
	topic     Topic
	group     string
	partition int32
	last      int64 // acknowledged
}

func (c *committer) commit(ctx context.Context) (time.Duration, error) {
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = c.partition, c.last+1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID, t.Partitions = c.topic.Name, c.topic.ID, []kmsg.OffsetCommitRequestTopicPartition{p}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Topics = c.group, []kmsg.OffsetCommitRequestTopic{t}
	began := time.Now()
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("the answer to a commit of one partition has %d topics", len(resp.Topics))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		return 0, fmt.Errorf("commit offset %d of group %s: %w", p.Offset, c.group, err)
	}
	c.last++
	return took, nil
}
