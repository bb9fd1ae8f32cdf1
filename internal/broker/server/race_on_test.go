//go:build race

package server

// raceEnabled: under the race detector sync.Pool drops a part of what is put back, on purpose.
const raceEnabled = true
