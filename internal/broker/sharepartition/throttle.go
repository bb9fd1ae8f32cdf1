package sharepartition

// minThrottle is the smallest number of deliveries from which on records are isolated.
const minThrottle = 2

// throttled tells how many of neighbours that were delivered so often may be given at a time, and whether that is alone. A record
// that cannot be processed fails all that are delivered with it: from half of the deliveries that are allowed on only half of them
// are given, then half of these, and at last each record alone, so that the others outlive it.
func throttled(neighbours int64, deliveries, most int16) (int64, bool) {
	switch {
	case most > 2 && deliveries >= most-1:
		return 1, true
	case deliveries >= max(minThrottle, (most+1)/2):
		return max(1, neighbours/2), true
	}
	return neighbours, false
}
