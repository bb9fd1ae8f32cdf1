package replica

// Withdraw has this broker lead no partition with other replicas in the eyes of clients, for a while: whoever waits is told to look elsewhere, and
// so is whoever comes. It is for a broker that cannot learn who leads now (R6), because its metadata stand still. Nothing is decided by it: the
// roles stay what the metadata said last, followers are streamed to, and with Withdraw(false) the broker goes on in the epochs that are still
// its own.
func (s *Set) Withdraw(out bool) {
	if s.withdrawn.Swap(out) == out {
		return
	}
	for r := range s.All {
		if m := r.member.Load(); m != nil {
			m.withdraw()
		}
	}
}

// withdraw follows the set. A role that begins meanwhile asks for itself, see admit.
func (m *member) withdraw() {
	m.mu.Lock()
	defer m.unlock()
	switch {
	case m.leader == nil:
	case !m.set.withdrawn.Load():
		m.admit()
	case m.lead != nil:
		m.r.lead.Store(nil)
		m.lead = nil
		m.failWaits(m.r.notLeader(ErrNotLeader))
		m.out.wake = true
	}
}

// admit lets clients in, if the epoch is one to append in. The caller holds the mutex and has a leader.
func (m *member) admit() {
	if m.set.withdrawn.Load() || m.lead != nil || m.leader.MayAppend(0) != nil {
		return
	}
	m.lead = &leadership{epoch: m.leader.Epoch(), member: m}
	m.lead.settled.Store(m.leader.Settled())
	m.r.lead.Store(m.lead)
	m.out.wake = true
}
