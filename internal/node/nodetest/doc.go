// Package nodetest runs whole brokers for tests: a node over a simulated disk and an in-memory network, and a client
// that speaks raw requests in any version. Nothing but tests imports it.
//
// Concurrency: a Broker may be used from any goroutine; a Client belongs to one.
package nodetest
