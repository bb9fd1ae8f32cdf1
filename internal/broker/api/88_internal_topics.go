package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/group/streams"
)

// How long a creation may take, and how many that have failed are remembered.
const (
	internalTopicTime = 30 * time.Second
	mostFailures      = 1000
)

// internalTopics has topics created that streams groups need. Members ask for them with each heartbeat: a topic is asked for once at a time, and when that has
// failed not again for a while, in which those who ask are told why.
type internalTopics struct {
	b *Broker

	mu       sync.Mutex
	underway map[string]bool
	failed   map[string]failedTopic
}

type failedTopic struct {
	why   string
	until time.Time
}

// create asks for topics, as whoever needs them. It does not wait.
func (x *internalTopics) create(from Origin, clientID string, topics []streams.NewTopic, pause time.Duration) {
	if len(topics) == 0 {
		return
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(req.MaxVersion())
	req.TimeoutMillis = int32(internalTopicTime.Milliseconds())
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range topics {
		t := &topics[i]
		if x.underway[t.Name] || now.Before(x.failed[t.Name].until) {
			continue
		}
		if x.underway == nil {
			x.underway, x.failed = make(map[string]bool), make(map[string]failedTopic)
		}
		x.underway[t.Name] = true
		req.Topics = append(req.Topics, creation(t))
	}
	if len(req.Topics) > 0 {
		x.b.errands.run(func() { x.ask(from, clientID, req, pause) })
	}
}

func creation(t *streams.NewTopic) kmsg.CreateTopicsRequestTopic {
	out := kmsg.NewCreateTopicsRequestTopic()
	out.Topic, out.NumPartitions, out.ReplicationFactor = t.Name, t.Partitions, t.ReplicationFactor
	for _, c := range t.Configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		value := c.Value
		config.Name, config.Value = c.Key, &value
		out.Configs = append(out.Configs, config)
	}
	return out
}

// ask asks the controller, and notes what it has refused.
func (x *internalTopics) ask(from Origin, clientID string, req *kmsg.CreateTopicsRequest, pause time.Duration) {
	ctx, cancel := context.WithTimeout(x.b.errands.ctx, internalTopicTime)
	defer cancel()
	resp := x.b.askAs(ctx, from, clientID, req).(*kmsg.CreateTopicsResponse)
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range req.Topics {
		delete(x.underway, req.Topics[i].Topic)
	}
	if len(x.failed) >= mostFailures {
		for name, f := range x.failed {
			if !now.Before(f.until) {
				delete(x.failed, name)
			}
		}
	}
	for _, t := range resp.Topics {
		switch {
		case t.ErrorCode == 0 || t.ErrorCode == kerr.TopicAlreadyExists.Code:
			delete(x.failed, t.Topic)
		case len(x.failed) < mostFailures:
			why := fmt.Sprintf("error %d", t.ErrorCode)
			if err := kerr.TypedErrorForCode(t.ErrorCode); err != nil {
				why = err.Message
			}
			if t.ErrorMessage != nil && *t.ErrorMessage != "" {
				why = *t.ErrorMessage
			}
			x.failed[t.Topic] = failedTopic{why, now.Add(pause)}
		}
	}
}

// trouble says which of some topics could not be created not long ago, and why; empty: none.
func (x *internalTopics) trouble(topics []streams.NewTopic) string {
	const shown = 3
	var out []string
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range topics {
		if f := x.failed[t.Name]; now.Before(f.until) {
			out = append(out, fmt.Sprintf("%s (%s)", t.Name, f.why))
		}
	}
	if len(out) == 0 {
		return ""
	}
	slices.Sort(out)
	return " They could not be created: " + strings.Join(out[:min(shown, len(out))], ", ") + "."
}
