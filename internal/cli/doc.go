// Package cli is what a person types: the commands of chronik-server and of chronik, which holds everything
// in one binary. It turns flags, environment and file into a configuration, runs what was asked for, and
// turns its end into an exit code.
//
// Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration. `chronik cluster` ends with 2 for one reason only: status
// has found something wrong.
package cli
