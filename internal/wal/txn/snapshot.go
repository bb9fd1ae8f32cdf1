package txn

import (
	"encoding/binary"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
)

// FileName is the snapshot's name in the partition's directory.
const FileName = "transaction_index"

var kind = snapshot.Kind{Magic: [4]byte{'C', 'K', 'T', 'X'}, Version: 1}

const entryBytes = 32

// AppendSnapshot appends the index as the file docs/format/transaction_index.md describes. The index
// must hold all markers below end. The bytes may reach the disk only once the log is durable up to end:
// else a crash could leave transactions whose marker is gone.
func (x *Index) AppendSnapshot(dst []byte, end model.Offset) []byte {
	start := len(dst)
	dst = kind.BeginList(dst, end, len(x.txns))
	for _, t := range x.txns {
		dst = binary.BigEndian.AppendUint64(dst, uint64(t.Producer))
		dst = binary.BigEndian.AppendUint64(dst, uint64(t.FirstOffset))
		dst = binary.BigEndian.AppendUint64(dst, uint64(t.LastOffset))
		dst = binary.BigEndian.AppendUint64(dst, uint64(t.LastStable))
	}
	return kind.Seal(dst, start)
}

// LoadSnapshot reads what AppendSnapshot wrote: the index and the offset up to which it holds. Errors
// match snapshot.ErrCorrupt or snapshot.ErrVersion.
func LoadSnapshot(b []byte) (Index, model.Offset, error) {
	list, end, err := kind.OpenList(b, entryBytes)
	if err != nil {
		return Index{}, 0, fmt.Errorf("transaction index: %w", err)
	}
	var x Index
	if n := len(list) / entryBytes; n > 0 {
		x.txns = make([]AbortedTxn, 0, n)
	}
	for p := list; len(p) > 0; p = p[entryBytes:] {
		t := AbortedTxn{
			Producer:    model.ProducerID(binary.BigEndian.Uint64(p)),
			FirstOffset: model.Offset(binary.BigEndian.Uint64(p[8:])),
			LastOffset:  model.Offset(binary.BigEndian.Uint64(p[16:])),
			LastStable:  model.Offset(binary.BigEndian.Uint64(p[24:])),
		}
		if t.Producer < 0 || t.LastOffset >= end {
			return Index{}, 0, fmt.Errorf("transaction index: %w: %+v with end %d", snapshot.ErrCorrupt, t, end)
		}
		if err := x.Append(t); err != nil {
			return Index{}, 0, fmt.Errorf("transaction index: %w: %v", snapshot.ErrCorrupt, err)
		}
	}
	return x, end, nil
}
