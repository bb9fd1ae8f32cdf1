// Command chronik-bench loads a Kafka-compatible broker, measures it and verifies what it stored.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"chronik/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench.Command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chronik-bench:", err)
		os.Exit(1)
	}
}
