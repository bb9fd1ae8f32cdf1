package group

// Census counts what machines coordinate.
type Census struct {
	Groups  map[Kind]int
	Members map[string]int // by type of their group
	Offsets int
}

// Kind is a group's type and state, as ListGroups names them.
type Kind struct{ Type, State string }

// Census adds what this machine coordinates. It looks at each group, and at nothing in it.
func (m *Machine) Census(to *Census) {
	if to.Groups == nil {
		to.Groups, to.Members = make(map[Kind]int), make(map[string]int)
	}
	for _, g := range m.groups {
		kind, members := g.census()
		to.Groups[kind]++
		to.Members[kind.Type] += members
		to.Offsets += g.offsets.Len()
	}
}

func (g *group) census() (k Kind, members int) {
	switch {
	case g.isStreams():
		return Kind{streamsType, g.streams.state().String()}, g.streams.members.Len()
	case g.isShare():
		return Kind{shareType, g.share.state().String()}, g.share.members.Len()
	case g.isConsumer():
		return Kind{consumerType, g.consumer.state().String()}, g.consumer.members.Len()
	case g.classic != nil:
		return Kind{classicType, g.classic.state.String()}, len(g.classic.members)
	}
	return Kind{classicType, Empty.String()}, 0 // no more than the log says of it
}
