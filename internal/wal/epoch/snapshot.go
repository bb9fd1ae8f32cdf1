package epoch

import (
	"encoding/binary"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
)

// FileName is the snapshot's name in the partition's directory.
const FileName = "leader_epochs"

var kind = snapshot.Kind{Magic: [4]byte{'C', 'K', 'L', 'E'}, Version: 1}

const entryBytes = 12

// AppendSnapshot appends the cache as the file docs/format/leader_epochs.md describes. The cache must
// hold all batches below end. The bytes may reach the disk only once the log is durable up to end: else
// a crash could leave epochs of batches that are gone.
func (c *Cache) AppendSnapshot(dst []byte, end model.Offset) []byte {
	start := len(dst)
	dst = kind.BeginList(dst, end, len(c.entries))
	for _, e := range c.entries {
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.Epoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Start))
	}
	return kind.Seal(dst, start)
}

// LoadSnapshot reads what AppendSnapshot wrote: the cache and the offset up to which it holds. Errors
// match snapshot.ErrCorrupt or snapshot.ErrVersion.
func LoadSnapshot(b []byte) (Cache, model.Offset, error) {
	list, end, err := kind.OpenList(b, entryBytes)
	if err != nil {
		return Cache{}, 0, fmt.Errorf("leader epochs: %w", err)
	}
	var c Cache
	if n := len(list) / entryBytes; n > 0 {
		c.entries = make([]Entry, 0, n)
	}
	last := Entry{Epoch: -1, Start: -1}
	for p := list; len(p) > 0; p = p[entryBytes:] {
		e := Entry{
			Epoch: model.LeaderEpoch(binary.BigEndian.Uint32(p)),
			Start: model.Offset(binary.BigEndian.Uint64(p[4:])),
		}
		if e.Epoch <= last.Epoch || e.Start <= last.Start || e.Start > end {
			return Cache{}, 0, fmt.Errorf("leader epochs: %w: %v after %v with end %d", snapshot.ErrCorrupt, e, last, end)
		}
		c.entries, last = append(c.entries, e), e
	}
	return c, end, nil
}
