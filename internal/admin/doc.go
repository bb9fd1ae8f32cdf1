// Package admin is the HTTP side of a broker, for people and for what watches it: health, readiness, metrics in
// Prometheus' format, profiles. It changes nothing.
//
// It holds no state of the broker: what it tells it asks for when it is asked. It must not be open to the
// world, as profiles show what the process does; it listens where bind-addr says, on loopback by default.
package admin
