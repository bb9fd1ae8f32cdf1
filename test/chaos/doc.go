// Package chaos breaks clusters of real processes in every way that a machine offers, while clients write and read, and then looks
// whether anything that was acknowledged is lost, doubled or out of order, and how long the clients had to wait.
// It needs root, Linux and some minutes: `make chaos` for the short version, `make chaos ROUNDS=25` for the long one.
//
// What a test measures it prints; only what a cluster promises fails it. Times are those that clients see, of clients that
// give a silent connection up after 300 ms (package rig says why).
package chaos
