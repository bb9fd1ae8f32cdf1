package crashfs

// change is what one call does to the entries of directories: all of it happens or nothing.
type change struct {
	edits []edit
	needs []*change // not synced either; a disk that has this change has those
}

// edit sets one name of a directory. A nil node removes it.
type edit struct {
	dir  *node
	name string
	to   *node
}

// slot is a name of a directory, whatever it stands for.
type slot struct {
	dir  *node
	name string
}

// journal is the changes that no sync has made durable, in the order of the calls.
type journal struct {
	changes []*change
	latest  map[slot]*change // the last of them that sets this name
	moved   *change          // the last move of a directory; they happen in order, else two could end up inside each other
}

// add carries out edits, two for a rename, and appends them as one change. emptied is a directory that they remove, or nil.
func (j *journal) add(emptied *node, edits ...edit) {
	c := &change{edits: edits}
	need := func(other *change) {
		if other != nil {
			c.needs = append(c.needs, other)
		}
	}
	for _, e := range edits {
		need(j.latest[slot{e.dir, e.name}])
	}
	if len(edits) == 2 && edits[1].to.isDir() {
		need(j.moved)
		j.moved = c
	}
	if emptied != nil {
		for _, other := range j.changes {
			if other.touches(emptied) {
				need(other)
			}
		}
	}
	if j.latest == nil {
		j.latest = make(map[slot]*change)
	}
	for _, e := range edits {
		j.latest[slot{e.dir, e.name}] = c
		set(e.dir.entries, e)
	}
	j.changes = append(j.changes, c)
}

func (c *change) touches(dir *node) bool {
	for _, e := range c.edits {
		if e.dir == dir {
			return true
		}
	}
	return false
}

func set(entries map[string]*node, e edit) {
	if e.to == nil {
		delete(entries, e.name)
	} else {
		entries[e.name] = e.to
	}
}

// syncDir makes the changes to a directory durable, and what they need.
func (j *journal) syncDir(dir *node) {
	wanted := make(map[*change]bool)
	for i := len(j.changes) - 1; i >= 0; i-- { // what is needed comes earlier
		c := j.changes[i]
		if !wanted[c] && !c.touches(dir) {
			continue
		}
		wanted[c] = true
		for _, n := range c.needs {
			wanted[n] = true
		}
	}
	if len(wanted) == 0 {
		return
	}
	rest := j.changes[:0]
	for _, c := range j.changes {
		if !wanted[c] {
			c.forget(wanted)
			rest = append(rest, c)
			continue
		}
		for _, e := range c.edits {
			set(e.dir.durable, e)
			if at := (slot{e.dir, e.name}); j.latest[at] == c {
				delete(j.latest, at)
			}
		}
		c.needs = nil
		if j.moved == c {
			j.moved = nil
		}
	}
	clear(j.changes[len(rest):])
	j.changes = rest
}

// forget drops needs that are durable now.
func (c *change) forget(durable map[*change]bool) {
	rest := c.needs[:0]
	for _, n := range c.needs {
		if !durable[n] {
			rest = append(rest, n)
		}
	}
	c.needs = rest
}

// disk returns the directories' entries as a crash leaves them that takes those changes which keep accepts and whose needs
// it took. A directory that is not in the map is as it is durable.
func (j *journal) disk(keep func() bool) map[*node]map[string]*node {
	taken := make(map[*change]bool, len(j.changes))
	dirs := make(map[*node]map[string]*node)
	for _, c := range j.changes {
		if !keep() || !allIn(c.needs, taken) {
			continue
		}
		taken[c] = true
		for _, e := range c.edits {
			entries := dirs[e.dir]
			if entries == nil {
				entries = make(map[string]*node, len(e.dir.durable)+1)
				for name, n := range e.dir.durable {
					entries[name] = n
				}
				dirs[e.dir] = entries
			}
			set(entries, e)
		}
	}
	return dirs
}

func allIn(needs []*change, taken map[*change]bool) bool {
	for _, n := range needs {
		if !taken[n] {
			return false
		}
	}
	return true
}
