package replication

import (
	"encoding/binary"

	"chronik/internal/model"
)

// entry is a record of the model: who wrote it, and what no other record says.
type entry struct {
	epoch   model.LeaderEpoch
	payload uint32
}

const entryBytes = 8

func encode(list []entry) []byte {
	var out []byte
	for _, e := range list {
		out = binary.BigEndian.AppendUint32(out, uint32(e.epoch))
		out = binary.BigEndian.AppendUint32(out, e.payload)
	}
	return out
}

func decode(b []byte) []entry {
	var out []entry
	for ; len(b) >= entryBytes; b = b[entryBytes:] {
		out = append(out, entry{model.LeaderEpoch(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])})
	}
	return out
}

// toyLog is a log in memory with a disk's habit: what lies above synced may be gone after a crash.
type toyLog struct {
	start   model.Offset
	entries []entry
	synced  model.Offset
	same    model.Offset      // below it, the entries were compared with what is committed
	led     model.LeaderEpoch // that its owner leads in, or has led in last; 0: none
}

func (l *toyLog) end() model.Offset { return l.start + model.Offset(len(l.entries)) }

func (l *toyLog) own() Own { return Own{Start: l.start, End: l.end(), Synced: l.synced} }

func (l *toyLog) at(off model.Offset) entry { return l.entries[off-l.start] }

func (l *toyLog) slice(from, to model.Offset) []entry { return l.entries[from-l.start : to-l.start] }

func (l *toyLog) LastEpoch() model.LeaderEpoch {
	if len(l.entries) == 0 {
		return model.NoEpoch
	}
	return l.entries[len(l.entries)-1].epoch
}

func (l *toyLog) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	if e == l.led && e > 0 && l.LastEpoch() <= e {
		return e, l.end()
	}
	for i := len(l.entries) - 1; i >= 0; i-- {
		if l.entries[i].epoch <= e {
			return l.entries[i].epoch, l.start + model.Offset(i) + 1
		}
	}
	if len(l.entries) == 0 {
		return model.NoEpoch, model.NoOffset
	}
	return e, l.start
}

// cut leaves what lies below to.
func (l *toyLog) cut(to model.Offset) {
	if to < l.start {
		l.restart(to)
		return
	}
	l.entries = l.entries[: to-l.start : to-l.start]
	l.synced, l.same = min(l.synced, to), min(l.same, to)
}

func (l *toyLog) restart(at model.Offset) { *l = toyLog{start: at, synced: at, same: at} }

// trim deletes what lies below to.
func (l *toyLog) trim(to model.Offset) {
	if to > l.start {
		l.entries = l.entries[to-l.start:]
		l.start, l.same = to, max(l.same, to)
		l.synced = max(l.synced, to)
	}
}
