//go:build race

package mem

// raceEnabled: under the race detector sync.Pool drops a part of what is put back, on purpose, so allocations mean nothing.
const raceEnabled = true
