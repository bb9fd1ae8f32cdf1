package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chronik/internal/config"
	"chronik/internal/node"
	"chronik/internal/vfs"
)

// shutdownPatience is how long a stop waits for requests in progress before it closes their connections.
const shutdownPatience = 30 * time.Second

// heapHeadroom is memory that is never touched, and so takes none: the garbage collector counts it as in use, and starts so many bytes later. What a quiet
// broker has in use is so little that it would run some thirty times a second while small requests come in.
const heapHeadroom = 8 << 20

// Server is the command chronik-server: `chronik-server [flags] standalone`, flags before or after.
func Server(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "chronik-server [flags] standalone",
		Short: "A Kafka-compatible broker that syncs every record before it acknowledges it",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("say what to run: %s standalone", cmd.CommandPath())}
		},
	}
	for _, setting := range config.Settings {
		usage := fmt.Sprintf("%s (%s)", setting.Doc, setting.Env())
		if setting.List {
			root.PersistentFlags().Var(&listFlag{text: setting.Default}, setting.Name, usage)
			continue
		}
		root.PersistentFlags().String(setting.Name, setting.Default, usage)
	}
	root.AddCommand(standalone(s), showConfig(s))
	return root
}

// listFlag is a flag that may be given several times, each time with a value or several with commas between them.
type listFlag struct {
	text  string
	given bool
}

// Set implements pflag.Value.
func (f *listFlag) Set(v string) error {
	if f.given {
		v = f.text + "," + v
	}
	f.text, f.given = v, true
	return nil
}

func (f *listFlag) String() string { return f.text }

// Type implements pflag.Value.
func (f *listFlag) Type() string { return "list" }

func standalone(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "standalone",
		Short: "Run one broker that needs no other",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := load(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), settings, s)
		},
	}
}

func showConfig(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Show each effective setting and where it came from",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := load(cmd)
			if err != nil {
				return err
			}
			return printConfig(s.Out, settings)
		},
	}
}

func load(cmd *cobra.Command) (*config.Server, error) {
	given := make(map[string]string)
	for _, setting := range config.Settings {
		if f := cmd.Flag(setting.Name); f != nil && f.Changed {
			given[setting.Name] = f.Value.String()
		}
	}
	settings, err := config.Load(config.Inputs{Flags: given, Env: os.Environ(), ReadFile: os.ReadFile})
	if err != nil {
		return nil, usageError{err}
	}
	return settings, nil
}

func printConfig(w io.Writer, settings *config.Server) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range settings.Effective {
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", e.Name, e.Value, e.Source); err != nil {
			return err
		}
	}
	return table.Flush()
}

// serve runs a node until ctx ends or it fails.
func serve(ctx context.Context, settings *config.Server, s Streams) error {
	headroom := make([]byte, heapHeadroom)
	defer runtime.KeepAlive(headroom)
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: settings.LogLevel}))
	n, err := node.New(ctx, settings, node.Env{
		FS: vfs.OS(), Listen: net.Listen, Now: time.Now, Log: log, ReadFile: os.ReadFile,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.Out, n.StartLine()); err != nil {
		log.Warn("the start line could not be printed", "error", err)
	}
	select {
	case <-ctx.Done():
		log.Info("stopping: finishing requests in progress and syncing the logs")
	case <-n.Failed():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	return errors.Join(n.Err(), n.Stop(patience))
}
