package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// commandTime bounds what the rig asks of the machine: ip, nft, mount. None of it takes longer than a fraction of a second.
const commandTime = 20 * time.Second

// run runs a program of the machine and returns what it printed.
func run(argv ...string) (string, error) { return feed("", argv...) }

// feed is run with something to read.
func feed(input string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), nil
}

// runAll runs one program after the other, and stops at the first that fails.
func runAll(commands ...string) error {
	for _, c := range commands {
		if _, err := run(strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// await asks until the answer is yes. A process can only be asked from outside; what it last said is in the error.
func await(ctx context.Context, what string, every time.Duration, ask func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}
