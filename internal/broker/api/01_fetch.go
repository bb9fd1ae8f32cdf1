package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/fetchsession"
	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wal"
	"chronik/internal/wire"
)

// Records are sent from the page cache where they can be.
var _ wire.FileRegion = (*wal.Region)(nil)

// isolationCommitted is read_committed on the wire.
const isolationCommitted = 1

// Fetch (1), versions 4 to 18. Version 7 adds sessions (KIP-227), 9 and 12 leader epochs (KIP-320, KIP-595),
// 11 racks (KIP-392), 13 topic IDs (KIP-516), 16 where the leader is instead (KIP-951).
//
// Records go from their file to the socket when the reply is written; what is held here are references. A
// fetch that finds less than its min bytes parks on its partitions until one moves or its wait is over.
func (b *Broker) fetch(ctx context.Context, req *server.Request, slot *server.Slot) {
	decoded, err := b.decode(req)
	if err != nil {
		slot.Close(err)
		return
	}
	in := decoded.(*kmsg.FetchRequest)
	session, err := b.sessions.Begin(sessionRequest(in), req.Received)
	if err != nil {
		slot.SendFetch(fetchRefusal(in.Version, err))
		return
	}
	f := fetching{broker: b, in: in, session: session, listener: req.Conn.Listener(), budget: min(int(in.MaxBytes), int(b.Config().FetchMaxBytes))}
	f.collect()
	if !f.enough() {
		req.Forget() // nothing decoded lies in the frame, and most consumers wait most of the time
		f.park(ctx, req.Received.Add(time.Duration(in.MaxWaitMillis)*time.Millisecond))
	}
	resp := f.respond()
	session.End()
	slot.SendFetch(resp)
}

// sessionRequest is what sessions need to know of the request.
func sessionRequest(in *kmsg.FetchRequest) fetchsession.Request {
	q := fetchsession.Request{SessionID: in.SessionID, SessionEpoch: in.SessionEpoch, UsesIDs: in.Version >= 13}
	if in.Version < 7 {
		q.SessionEpoch = fetchsession.NoSession
	}
	for i := range in.Topics {
		t := &in.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			q.Partitions = append(q.Partitions, fetchsession.Partition{
				Key:         fetchsession.Key{Topic: t.Topic, ID: t.TopicID, Partition: p.Partition},
				FetchOffset: model.Offset(p.FetchOffset), MaxBytes: p.PartitionMaxBytes,
				LeaderEpoch: model.LeaderEpoch(p.CurrentLeaderEpoch), LastEpoch: model.LeaderEpoch(p.LastFetchedEpoch),
			})
		}
	}
	for i := range in.ForgottenTopics {
		t := &in.ForgottenTopics[i]
		for _, n := range t.Partitions {
			q.Forgotten = append(q.Forgotten, fetchsession.Key{Topic: t.Topic, ID: t.TopicID, Partition: n})
		}
	}
	return q
}

// fetching is one Fetch request at work.
type fetching struct {
	broker   *Broker
	in       *kmsg.FetchRequest
	session  *fetchsession.Fetch
	budget   int // bytes of records that the response may carry
	listener string

	found  []fetched
	bytes  int
	urgent bool // an error or a redirection: the client must hear it at once
}

// fetched is one partition's answer.
type fetched struct {
	want    *fetchsession.Partition
	replica *replica.Replica // nil if there is none
	res     replica.ReadResult
	prefer  model.BrokerID // whom to read from instead (KIP-392); model.NoBroker: nobody
	err     error
}

// redirected tells whether the client is to do something else than to read on here.
func (f *fetched) redirected() bool { return f.res.Diverging != nil || f.prefer != model.NoBroker }

// collect reads every partition of the session, as far as the bytes allow. The first batch found is returned
// whatever its size, so that a reader always gets on (KIP-74).
func (f *fetching) collect() {
	f.found, f.bytes, f.urgent = f.found[:0], 0, false
	for want := range f.session.Partitions {
		got := f.read(want)
		if got.res.Records != nil {
			f.bytes += got.res.Records.Len()
		}
		f.urgent = f.urgent || got.err != nil || got.redirected()
		f.found = append(f.found, got)
	}
}

func (f *fetching) read(want *fetchsession.Partition) fetched {
	got := fetched{want: want, prefer: model.NoBroker}
	got.replica, got.err = f.broker.partitionOf(want.Key, f.in.Version >= 13)
	if got.err == nil && isReplica(f.in) {
		got.err = errNotReplica
	}
	if got.err != nil {
		got.res = nothing
		return got
	}
	q := replica.ReadRequest{
		From: want.FetchOffset, MaxBytes: min(int(want.MaxBytes), f.budget-f.bytes), MinOne: f.bytes == 0, Follower: f.in.Version >= fetchRacks,
		Committed: f.in.IsolationLevel == isolationCommitted, LeaderEpoch: want.LeaderEpoch, LastEpoch: want.LastEpoch,
	}
	if f.broker.byRack && f.in.Rack != "" {
		got.prefer = f.broker.readReplica(got.replica.TopicID(), want.Partition, f.in.Rack, f.listener)
	}
	if got.prefer != model.NoBroker {
		q.MaxBytes, q.MinOne = 0, false // only whether what the client believes is right
	}
	got.res, got.err = got.replica.Read(q)
	if got.err != nil {
		got.prefer = model.NoBroker
		got.res = nothing // with an error Kafka tells no offsets
	}
	return got
}

// fetchRacks is the version from which on clients know that they may be sent to a follower, or have been.
const fetchRacks = 11

// nothing is what a partition answers beside an error.
var nothing = replica.ReadResult{HighWatermark: model.NoOffset, LastStable: model.NoOffset, LogStart: model.NoOffset}

// isReplica tells whether the request claims to be a follower's. Followers of this broker do not use Fetch.
func isReplica(in *kmsg.FetchRequest) bool {
	return in.ReplicaID >= 0 || in.ReplicaState.ID >= 0
}

func (f *fetching) enough() bool {
	return f.urgent || f.bytes >= int(f.in.MinBytes) || f.in.MaxWaitMillis <= 0 || f.session.Len() == 0
}

// park waits until there is enough, the deadline passed or the connection is gone. It registers before it
// looks again, so that nothing that happens in between is missed.
func (f *fetching) park(ctx context.Context, deadline time.Time) {
	w := replica.NewWatcher()
	for _, got := range f.found {
		if got.replica != nil {
			got.replica.Watch(w)
			defer got.replica.Unwatch(w)
		}
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		f.release()
		f.collect()
		if f.enough() {
			return
		}
		select {
		case <-w.C():
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// release gives back the files that an earlier look referenced.
func (f *fetching) release() {
	for i := range f.found {
		if r := f.found[i].res.Records; r != nil {
			r.Release()
			f.found[i].res.Records = nil
		}
	}
}

// respond puts the answer together and hands the files over to it.
func (f *fetching) respond() *wire.FetchResponse {
	resp := &wire.FetchResponse{Version: f.in.Version, SessionID: f.session.SessionID()}
	var topic *wire.FetchTopic
	for i := range f.found {
		got := &f.found[i]
		answer := fetchsession.Answer{HighWatermark: got.res.HighWatermark, LogStart: got.res.LogStart,
			Failed: got.err != nil, Redirected: got.redirected()}
		if got.res.Records != nil {
			answer.RecordBytes = got.res.Records.Len()
		}
		if !f.session.Include(got.want, answer) {
			continue
		}
		k := got.want.Key
		if topic == nil || topic.Name != k.Topic || topic.ID != k.ID {
			resp.Topics = append(resp.Topics, wire.FetchTopic{Name: k.Topic, ID: k.ID})
			topic = &resp.Topics[len(resp.Topics)-1]
		}
		out := f.partition(got)
		topic.Partitions = append(topic.Partitions, out)
		resp.Endpoints = f.broker.addEndpoint(resp.Endpoints, out.CurrentLeader, f.listener)
	}
	return resp
}

func (f *fetching) partition(got *fetched) wire.FetchPartition {
	out := wire.FetchPartition{
		Partition: got.want.Partition, ErrorCode: Code(got.err), PreferredReadReplica: got.prefer,
		HighWatermark: got.res.HighWatermark, LastStableOffset: got.res.LastStable, LogStartOffset: got.res.LogStart,
	}
	if got.err != nil {
		k := got.want.Key
		out.CurrentLeader = f.broker.newestLeader(out.ErrorCode, currentLeader(got.err), k.Topic, k.ID, got.want.Partition)
	}
	if got.res.Records != nil {
		out.Records = got.res.Records
	}
	if d := got.res.Diverging; d != nil {
		out.DivergingEpoch = &wire.EpochEnd{Epoch: d.Epoch, EndOffset: d.EndOffset}
	}
	if f.in.IsolationLevel == isolationCommitted {
		out.Aborted = make([]wire.AbortedTxn, 0, len(got.res.Aborted))
		for _, a := range got.res.Aborted {
			out.Aborted = append(out.Aborted, wire.AbortedTxn{Producer: a.Producer, FirstOffset: a.FirstOffset})
		}
	}
	return out
}

// fetchRefusal answers a request as a whole. Before version 7 there was no place for such an error but the
// partitions; sessions, the only reason to refuse, came with that version.
func fetchRefusal(version int16, err error) *wire.FetchResponse {
	return &wire.FetchResponse{Version: version, ErrorCode: Code(err)}
}
