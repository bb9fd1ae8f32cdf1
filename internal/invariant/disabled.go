//go:build !invariants

package invariant

// Enabled tells whether expensive checks run: this build lacks the tag `invariants`.
const Enabled = false
