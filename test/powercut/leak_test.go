package powercut

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
)

// The labels of a life's goroutines; every goroutine inherits those of the one that started it.
const lifeLabel = "powercut"

func (m *machine) labels() pprof.LabelSet {
	return pprof.Labels(lifeLabel, m.label())
}

func (m *machine) label() string {
	return "seed " + strconv.FormatUint(m.seed, 10) + " life " + strconv.Itoa(m.born)
}

// goroutines returns the stacks of the newest life's goroutines; empty if none is left.
func (m *machine) goroutines() string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	var mine strings.Builder
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, strconv.Quote(m.label())) {
			mine.WriteString(stack + "\n\n")
		}
	}
	return mine.String()
}

// awaitNoGoroutines returns when the life's goroutines are gone. One that has told everybody that it is done still
// needs the scheduler once more.
func (m *machine) awaitNoGoroutines() error {
	ctx, cancel := withPatience(context.Background())
	defer cancel()
	for ; ; runtime.Gosched() {
		left := m.goroutines()
		if left == "" {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the node is stopped, and goroutines of it are left:\n%s", left)
		}
	}
}
