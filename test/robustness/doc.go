// Package robustness throws what it can at the port of a real server while a good client works on (E2): random bytes, damaged and
// meaningless requests of every kind, lengths that announce what never comes, connections that say nothing, half a request at a
// byte a time, clients that ask and never read the answers, resets.
//
// At the end the good client's every promise is audited, no handler has panicked, the attackers' connections are gone,
// and the server's resident memory stayed under the bound that its configuration implies. For how long the attack lasts is said by
// the flag -garbage.
package robustness
