package wire

// Interner gives the same string for the same bytes without allocating again: client IDs and topic names recur on a
// connection with every request, and must outlive the frame that brought them. The zero value is ready. A nil
// Interner copies. Not for concurrent use.
type Interner struct {
	seen map[string]string
	last string
}

const (
	// maxInterned strings are kept; then all are forgotten. A client that invents names pays with its own allocations.
	maxInterned = 1024
	// maxInternedLen is above Kafka's longest topic name.
	maxInternedLen = 256
)

// String returns b as a string that does not alias it.
func (in *Interner) String(b []byte) string {
	if in == nil || len(b) > maxInternedLen {
		return string(b)
	}
	if in.last == string(b) { // no allocation: the compiler sees a comparison
		return in.last
	}
	if s, ok := in.seen[string(b)]; ok {
		in.last = s
		return s
	}
	if in.seen == nil || len(in.seen) >= maxInterned {
		in.seen = make(map[string]string)
	}
	s := string(b)
	in.seen[s] = s
	in.last = s
	return s
}
