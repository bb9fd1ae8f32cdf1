package sim

// stats is what a run exercised.
type stats [numExercises]int

// exercise is something that a schedule should have met.
type exercise int

const (
	elections exercise = iota
	truncations
	tornCrashes
	isrShrinks
	isrExpands
	numExercises
)

var exerciseNames = [numExercises]string{"election", "truncation", "torn crash", "ISR shrink", "ISR expand"}
