package controller

import (
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// Decision is one decision of several that share an entry of the log. It keeps its answer to itself.
type Decision func(Inputs) ([]*command.Command, error)

// Combine makes decisions one after the other, each on the image that those before it lead to, and returns the
// commands of all: one entry, one commit, however many requests wait. A decision that fails adds nothing; errs has
// an error, or nil, for each decision.
func Combine(in Inputs, decisions ...Decision) (commands []*command.Command, errs []error) {
	errs = make([]error, len(decisions))
	for i, decide := range decisions {
		more, err := decide(in)
		if err == nil {
			var next Inputs
			if next, err = in.after(more); err == nil {
				commands, in = append(commands, more...), next
			}
		}
		errs[i] = err
	}
	return commands, errs
}

// after returns the inputs for a decision that follows the commands within one entry.
func (in Inputs) after(commands []*command.Command) (Inputs, error) {
	m, err := image.Preview(in.Image, commands)
	if err != nil {
		return Inputs{}, err
	}
	in.Image = m
	return in, nil
}
