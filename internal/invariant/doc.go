// Package invariant states what must hold, in the code that depends on it.
//
// A broker that goes on after one of its invariants broke can lose records that it acknowledged; one that
// stops loses nothing. So a violated invariant panics with a Violation, which is no error to be handled:
// whoever recovers a panic to keep a process alive must let a Violation through.
//
// Two kinds of checks:
//   - cheap ones (a comparison or two) run always: Assert, or an if with Failf where the message needs values;
//   - expensive ones (walking a structure, poisoning memory) run in builds with the tag `invariants` only and
//     stand inside `if invariant.Enabled { ... }`, which the compiler removes elsewhere.
//
// It is for our own mistakes. Bad input, from the network or from the disk, is an error and not a violation.
package invariant
