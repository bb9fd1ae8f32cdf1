// Command rdkafka-bench is chronik-bench with librdkafka on the writing side, through confluent-kafka-go.
//
// It is a module of its own because confluent-kafka-go needs cgo, and Chronik does not. The flags, the
// topic, the measuring, the verification and the report are those of chronik-bench; only the loop that
// produces is here. What is not given by a flag is librdkafka's default, except for the linger: 0 instead of 5 ms,
// because a closed loop of 128 records never fills a batch and would measure nothing but that wait.
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
	defaults := bench.DefaultOptions()
	defaults.ClientID = "rdkafka-bench"
	defaults.MaxInFlight = 1_000_000 // librdkafka's own default
	defaults.BatchBytes = 1_000_000  // likewise
	cmd := bench.DriverCommand("rdkafka-bench", "librdkafka", open, defaults)
	cmd.Short = "Load a Kafka-compatible broker with librdkafka, measure it, and verify what it stored"
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rdkafka-bench:", err)
		os.Exit(1)
	}
}
