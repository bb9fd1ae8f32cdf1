package quorum

import (
	"errors"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// ErrEntry is for a batch in the log that is not one entry of a metadata log.
var ErrEntry = errors.New("not an entry of a metadata log")

// The key of an entry's record says what the entry is: commands have none. docs/format/metadata.md has the table.
var (
	keyEmpty  = []byte{1} // what a new leader begins its term with; no value
	keyConfig = []byte{2} // a change of the quorum's configuration: a raftpb.ConfChangeV2
)

// encodeEntry makes the batch of an entry (M5).
func encodeEntry(e *pb.Entry, now time.Time) (record.Batch, error) {
	if e.GetTerm() > math.MaxInt32 {
		return nil, fmt.Errorf("%w: term %d", ErrEntry, e.GetTerm())
	}
	var key []byte
	switch {
	case e.GetType() == pb.EntryConfChangeV2:
		key = keyConfig
	case e.GetType() != pb.EntryNormal:
		return nil, fmt.Errorf("%w: of type %v", ErrEntry, e.GetType())
	case len(e.Data) == 0:
		key = keyEmpty
	}
	w := record.NewBuilder(record.Options{BaseOffset: offsetOf(e.GetIndex()), LeaderEpoch: model.LeaderEpoch(e.GetTerm())})
	w.Add(now.UnixMilli(), key, e.Data)
	return w.Build()
}

// offsetOf is where an entry stands in the log (M5).
func offsetOf(index uint64) model.Offset { return model.Offset(index) - 1 }

// content finds the record of a batch that is one entry.
func content(b record.Batch) (key, value []byte, err error) {
	if b.RecordCount() != 1 || b.Codec() != compress.None {
		return nil, nil, fmt.Errorf("%w: it has %d records, codec %s", ErrEntry, b.RecordCount(), b.Codec())
	}
	it := record.NewIterator(b.Records(), 1)
	var r record.Record
	if !it.Next(&r) {
		return nil, nil, errors.Join(ErrEntry, it.Err())
	}
	return r.Key, r.Value, nil
}

// decodeEntry reads what encodeEntry made. The data aliases the batch.
func decodeEntry(b record.Batch) (*pb.Entry, error) {
	key, value, err := content(b)
	if err != nil {
		return nil, err
	}
	e := &pb.Entry{Term: proto.Uint64(uint64(b.LeaderEpoch())), Index: proto.Uint64(uint64(b.BaseOffset()) + 1), Data: value}
	switch {
	case len(key) == 0 && len(value) > 0:
		e.Type = pb.EntryNormal.Enum()
	case string(key) == string(keyEmpty) && len(value) == 0:
		e.Type, e.Data = pb.EntryNormal.Enum(), nil
	case string(key) == string(keyConfig):
		e.Type = pb.EntryConfChangeV2.Enum()
	default:
		return nil, fmt.Errorf("%w: its key is %x, its value has %d bytes; run the version of Chronik that wrote it, or a newer one",
			ErrEntry, key, len(value))
	}
	return e, nil
}
