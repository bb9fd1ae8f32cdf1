package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitOK    = 0
	ExitFail  = 1
	ExitUsage = 2
	// ExitDegraded is that of `chronik cluster status` for a cluster in which something is wrong.
	ExitDegraded = 2
)

// errDegraded ends a command that has printed what is wrong with a cluster.
var errDegraded = errors.New("the cluster is degraded")

// usageError is what the user can mend on the command line, in the environment or in the file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Streams are where commands write.
type Streams struct{ Out, Err io.Writer }

// Run executes a command line and returns the exit code. SIGINT and SIGTERM end the command's context; a
// second one ends the process at once.
func Run(root func(Streams) *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal meets the default: the end
	return run(ctx, root, args, Streams{Out: os.Stdout, Err: os.Stderr})
}

func run(ctx context.Context, root func(Streams) *cobra.Command, args []string, s Streams) int {
	cmd := root(s)
	cmd.SetArgs(append([]string{}, args...)) // of nil, cobra would take the process's own
	cmd.SetOut(s.Out)
	cmd.SetErr(s.Err)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, errDegraded) {
		return ExitDegraded
	}
	_, _ = fmt.Fprintf(s.Err, "%s: %v\n", cmd.Name(), err)
	if usage := new(usageError); errors.As(err, usage) {
		_, _ = fmt.Fprintf(s.Err, "Run '%s --help' for usage.\n", cmd.Name())
		return ExitUsage
	}
	return ExitFail
}

// noArgs refuses what stands behind a command that takes nothing.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is not a command of %s", args[0], cmd.CommandPath())}
	}
	return nil
}
