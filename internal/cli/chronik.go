package cli

import (
	"github.com/spf13/cobra"

	"chronik/internal/bench"
)

// Chronik is the command that holds all others: `chronik server standalone`, `chronik bench`, `chronik verify`, `chronik cluster`.
func Chronik(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "chronik",
		Short: "A Kafka-compatible broker and its tools",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	server := Server(s)
	server.Use = "server [flags] standalone"
	load := bench.Command()
	load.Use = "bench [flags]"
	root.AddCommand(server, load, verifier(s), Cluster(s))
	return root
}
