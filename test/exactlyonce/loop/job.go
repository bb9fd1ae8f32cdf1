package loop

import (
	"fmt"
	"strconv"
	"time"
)

// What every processor does alike, in whichever language.
const (
	perTransaction = 50                    // records at most
	heldOpen       = 60 * time.Millisecond // a transaction at most, so that a fault meets one
	abortOneOf     = 20                    // transactions, although nothing is wrong
)

// The protocols of groups.
const (
	Classic  = "classic"
	Consumer = "consumer" // KIP-848: the server assigns, and says how long sessions are
)

// Job is what a processor is to do.
type Job struct {
	Bootstrap, Group, Input, Output string
	ID                              string // transactional
	Session, Transaction            time.Duration
	Protocol                        string // of the group
}

// Args is the job as the arguments of a processor that is a process.
func (j Job) Args() []string {
	return []string{j.Bootstrap, j.Group, j.Input, j.Output, j.ID, fmt.Sprint(j.Session.Milliseconds()), fmt.Sprint(j.Transaction.Milliseconds()), j.Protocol}
}

// Parse undoes Args.
func Parse(args []string) (Job, error) {
	if len(args) != len(Job{}.Args()) {
		return Job{}, fmt.Errorf("a processor needs %d arguments, not %q", len(Job{}.Args()), args)
	}
	session, err := strconv.Atoi(args[5])
	if err != nil {
		return Job{}, err
	}
	transaction, err := strconv.Atoi(args[6])
	if err != nil {
		return Job{}, err
	}
	return Job{
		Bootstrap: args[0], Group: args[1], Input: args[2], Output: args[3], ID: args[4], Protocol: args[7],
		Session: time.Duration(session) * time.Millisecond, Transaction: time.Duration(transaction) * time.Millisecond,
	}, nil
}
