package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/wire"
)

// requestTime is what the brokers are granted for one change.
const requestTime = 30 * time.Second

// Client does to a cluster what Kafka's protocol allows. It implements Cluster.
type Client struct {
	cl *kgo.Client
	at model.BrokerID // the active controller when it was last seen; model.NoBroker: not known
	id string         // of the cluster, empty until it was seen
}

// NewClient makes a client of a cluster. It does not own cl.
func NewClient(cl *kgo.Client) *Client { return &Client{cl: cl, at: model.NoBroker} }

// ask sends a request to the active controller, whose picture of the cluster is never old, or if that is not a broker that can be reached to any.
func ask[R kmsg.Response](ctx context.Context, c *Client, req kmsg.Request) (R, error) {
	var resp kmsg.Response
	err := error(errNoController)
	if c.at != model.NoBroker {
		resp, err = c.cl.Broker(int(c.at)).Request(ctx, req)
	}
	if err != nil && ctx.Err() == nil {
		c.at = model.NoBroker
		resp, err = c.cl.Request(ctx, req)
	}
	if err != nil {
		var none R
		return none, fmt.Errorf("%s: %w", kmsg.NameForKey(req.Key()), err)
	}
	return resp.(R), nil
}

var errNoController = errors.New("no active controller is known")

// refused is the error of an answer; nil if there is none. The broker's own words are better than those of the protocol.
func refused(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%s (%w)", *message, codeOnly{err})
}

// codeOnly shows an error by its name in the protocol.
type codeOnly struct{ error }

func (e codeOnly) Unwrap() error { return e.error }

func (e codeOnly) Error() string {
	if k := new(kerr.Error); errors.As(e.error, &k) {
		return k.Message
	}
	return e.error.Error()
}

// Reassign begins reassignments. Those that the controller refuses are in the error; the others begin.
func (c *Client) Reassign(ctx context.Context, moves []controller.Reassignment) error {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = int32(requestTime.Milliseconds())
	topics := wire.NewByTopic(func(topic string) kmsg.AlterPartitionAssignmentsRequestTopic {
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic = topic
		return t
	})
	for _, m := range moves {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition = m.Partition
		for _, id := range m.Replicas { // no list at all cancels
			p.Replicas = append(p.Replicas, int32(id))
		}
		t := topics.Of(m.Topic)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = topics.Topics()
	resp, err := ask[*kmsg.AlterPartitionAssignmentsResponse](ctx, c, req)
	if err != nil {
		return err
	}
	errs := []error{refused(resp.ErrorCode, resp.ErrorMessage)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			err := refused(p.ErrorCode, p.ErrorMessage)
			if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // deleted meanwhile
				errs = append(errs, fmt.Errorf("%s-%d: %w", t.Topic, p.Partition, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Elect gives leadership back to preferred replicas. Partitions for which that is no longer needed, or not yet possible, are passed over.
func (c *Client) Elect(ctx context.Context, parts []model.TopicPartition) error {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = int32(requestTime.Milliseconds())
	topics := wire.NewByTopic(func(topic string) kmsg.ElectLeadersRequestTopic {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic = topic
		return t
	})
	for _, tp := range parts {
		t := topics.Of(tp.Topic)
		t.Partitions = append(t.Partitions, tp.Partition)
	}
	req.Topics = topics.Topics()
	resp, err := ask[*kmsg.ElectLeadersResponse](ctx, c, req)
	if err != nil {
		return err
	}
	errs := []error{refused(resp.ErrorCode, nil)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			switch err := refused(p.ErrorCode, p.ErrorMessage); {
			case errors.Is(err, kerr.ElectionNotNeeded), errors.Is(err, kerr.PreferredLeaderNotAvailable), errors.Is(err, kerr.UnknownTopicOrPartition):
			case err != nil:
				errs = append(errs, fmt.Errorf("%s-%d: %w", t.Topic, p.Partition, err))
			}
		}
	}
	return errors.Join(errs...)
}

// AddVoter gives a node that follows the metadata a vote. It is an error of the protocol if it has one.
func (c *Client) AddVoter(ctx context.Context, f Follower, n Node) error {
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.ClusterID, req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = &c.id, int32(requestTime.Milliseconds()), int32(f.Node), f.Directory
	l := kmsg.NewAddRaftVoterRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", n.Host, uint16(n.Port)
	req.Listeners = append(req.Listeners, l)
	resp, err := ask[*kmsg.AddRaftVoterResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err = refused(resp.ErrorCode, resp.ErrorMessage); errors.Is(err, kerr.DuplicateVoter) {
		return nil
	}
	return err
}

// RemoveVoter takes a node's vote on the metadata. One that follows without a vote is forgotten; Kafka forgets it by itself.
func (c *Client) RemoveVoter(ctx context.Context, f Follower) error {
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.ClusterID, req.VoterID, req.VoterDirectoryID = &c.id, int32(f.Node), f.Directory
	resp, err := ask[*kmsg.RemoveRaftVoterResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err = refused(resp.ErrorCode, resp.ErrorMessage); errors.Is(err, kerr.VoterNotFound) {
		return nil
	}
	return err
}

// Unregister has the cluster forget a node.
func (c *Client) Unregister(ctx context.Context, id model.BrokerID) error {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(id)
	resp, err := ask[*kmsg.UnregisterBrokerResponse](ctx, c, req)
	if err != nil {
		return err
	}
	if err = refused(resp.ErrorCode, resp.ErrorMessage); errors.Is(err, kerr.BrokerIDNotRegistered) {
		return nil
	}
	return err
}
