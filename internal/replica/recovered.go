package replica

import (
	"slices"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// Cut is a log that lost its end when the broker was stopped uncleanly. What was lost may have been acknowledged: the controller must
// hear of it with the registration, before this replica is elected (L2).
type Cut struct {
	Topic     model.TopicID
	Partition int32
	End       model.Offset // what is left; model.NoOffset: not known
}

// Cuts lists the logs that were found cut. It is complete for those that are open, see OpenAll.
func (s *Set) Cuts() []Cut {
	s.cutsMu.Lock()
	defer s.cutsMu.Unlock()
	return slices.Clone(s.cuts)
}

func (s *Set) noteCut(r *Replica, end model.Offset) {
	s.cutsMu.Lock()
	defer s.cutsMu.Unlock()
	s.cuts = append(s.cuts, Cut{r.topicID, r.partition.Partition, end})
}

func (s *Set) reportRecovery(r *Replica, rec wal.Recovery) {
	if rec.Corruption != nil || !rec.Clean && rec.TruncatedBytes > 0 {
		s.noteCut(r, rec.End)
	}
	if s.env.Recovered != nil {
		s.env.Recovered(r.partition, r.topicID, rec)
	}
	if rec.Corruption != nil {
		s.env.Log.Error("corruption below the synced end of a log: these offsets are not served; restore them from a replica or a backup",
			"partition", r.partition.String(), "error", rec.Corruption)
	}
	if rec.TruncatedBytes > 0 {
		s.env.Log.Info("cut a torn tail that was never acknowledged",
			"partition", r.partition.String(), "bytes", rec.TruncatedBytes, "end", int64(rec.End))
	}
}
