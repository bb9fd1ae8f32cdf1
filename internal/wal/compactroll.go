package wal

// outgrown tells whether the active segment must end so that what is uncleaned stays within its bound (compact.Policy.MostUncleaned): only
// sealed segments are compacted. Each holds a quarter of the bound at least. Otherwise, while an open transaction keeps all of it from
// being cleaned, every batch would get a segment of its own.
func (c *core) outgrown() bool {
	p := c.cfg.Compaction
	if p == nil || p.MostUncleaned <= 0 {
		return false
	}
	active := c.plan.pos - headerBytes
	if active < p.MostUncleaned/4 {
		return false
	}
	clean, dirty := c.cleanBytes()
	bound := max(p.MostUncleaned, clean)
	return active >= bound/4 && active+dirty >= bound
}

// cleanBytes are the bytes of batches below the first offset that no round of compaction has seen, and of those above it that are sealed.
func (c *core) cleanBytes() (clean, dirty int64) {
	seen := true
	for _, s := range c.segs {
		if s.number == c.plan.used {
			break
		}
		seen = seen && s.whole && s.surveyed >= s.end
		if seen {
			clean += s.size - headerBytes
		} else {
			dirty += s.size - headerBytes
		}
	}
	return clean, dirty
}

// Busy tells whether something was appended to any log of the device within the last second or so: then there may be somebody who
// waits for its answer.
func (l *Log) Busy() bool { return l.committer.active() }

func (c *Committer) active() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wasListed || len(c.listed) > 0
}
