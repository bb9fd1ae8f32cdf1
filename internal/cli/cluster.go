package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/operate"
)

const (
	statusTime  = 15 * time.Second // for a look at the cluster
	runPoll     = time.Second
	runPatience = 2 * time.Minute
	dialTime    = 5 * time.Second
)

// access is how a command reaches a cluster.
type access struct{ brokers string }

// client connects nothing yet: that happens with the first request.
func (a *access) client() (*kgo.Client, error) {
	seeds := strings.FieldsFunc(a.brokers, func(r rune) bool { return r == ',' || r == ' ' })
	if len(seeds) == 0 {
		return nil, errors.New("--bootstrap-servers names no broker: want host:port,host:port")
	}
	return kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ClientID("chronik-cluster"), kgo.DialTimeout(dialTime),
		kgo.RetryTimeout(statusTime), kgo.DisableClientMetrics(), kgo.MetadataMinAge(100*time.Millisecond))
}

// use calls do with the cluster and closes the connections after.
func (a *access) use(do func(*operate.Client) error) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := do(operate.NewClient(cl)); err != nil {
		return fmt.Errorf("%w [--bootstrap-servers %s]", err, a.brokers)
	}
	return nil
}

// Cluster is the command `chronik cluster`. It fails with 1 also for wrong usage, so that 2 always says that the cluster is degraded.
func Cluster(s Streams) *cobra.Command {
	a := new(access)
	root := &cobra.Command{
		Use: "cluster", Short: "Look at a cluster, let nodes in, take them out, spread the load",
		Args: func(_ *cobra.Command, args []string) error {
			return plain(noArgs(&cobra.Command{Use: "chronik cluster"}, args))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.brokers, "bootstrap-servers", "localhost:9092", "brokers to begin with, as host:port,host:port; one that answers is enough")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	root.AddCommand(clusterStatus(s, a), clusterAdd(s, a), clusterRemove(s, a), clusterRebalance(s, a))
	return root
}

// plain makes an error of usage one that ends with 1.
func plain(err error) error {
	if usage := new(usageError); errors.As(err, usage) {
		return usage.error
	}
	return err
}

func clusterStatus(s Streams, a *access) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status", Short: "Say what is wrong with the cluster and what to do about it",
		Long: "Say what is wrong with the cluster and what to do about it.\n\nEnds with 0 if nothing is wrong, 2 if something is, 1 if that cannot be told.",
		Args: func(cmd *cobra.Command, args []string) error { return plain(noArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q is not known: want text or json", output)
			}
			return a.use(func(c *operate.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), statusTime)
				defer cancel()
				v, err := c.View(ctx)
				if err != nil {
					return fmt.Errorf("the state of the cluster cannot be told: %w", err)
				}
				return printStatus(s.Out, operate.NewReport(v), output)
			})
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func printStatus(w io.Writer, r *operate.Report, output string) error {
	var err error
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.WriteText(w)
	}
	if err == nil && !r.Healthy {
		return errDegraded
	}
	return err
}

// pace is how much an operation may do at a time.
type pace struct {
	limit    int
	throttle int64
}

func (p *pace) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", 10, "partitions that move at a time")
	cmd.Flags().Int64Var(&p.throttle, "throttle", 0, "bytes per second that replicas which are being added may take on each node; 0: no bound")
}

func (p *pace) check() error {
	if p.limit < 1 {
		return fmt.Errorf("--limit %d: at least 1 partition has to move at a time", p.limit)
	}
	if p.throttle < 0 {
		return fmt.Errorf("--throttle %d is negative: want bytes per second, or 0 for no bound", p.throttle)
	}
	return nil
}

// run leads the cluster to an aim, with progress.
func (p *pace) run(ctx context.Context, s Streams, c *operate.Client, aim operate.Aim) error {
	r := operate.Run{Cluster: c, Aim: aim, Throttle: p.throttle, Poll: runPoll, Patience: runPatience, Report: func(line string) {
		_, _ = fmt.Fprintf(s.Out, "%s  %s\n", time.Now().Format(time.TimeOnly), line)
	}}
	return r.Do(ctx)
}

func nodeID(cmd *cobra.Command, args []string) (model.BrokerID, error) {
	if len(args) != 1 {
		return 0, fmt.Errorf("%s takes the ID of one node", cmd.CommandPath())
	}
	n, err := strconv.ParseInt(args[0], 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not the ID of a node: want a number", args[0])
	}
	return model.BrokerID(n), nil
}

// balance looks at the cluster for what a rebalance needs to know beforehand.
func (p *pace) balance(ctx context.Context, c *operate.Client) (operate.Rebalance, *operate.View, error) {
	v, err := c.View(ctx)
	if err != nil {
		return operate.Rebalance{}, nil, err
	}
	factors, err := c.InternalFactors(ctx)
	return operate.Rebalance{Internal: factors, Limit: p.limit}, v, err
}

// clusterNode is a command that leads the cluster to an aim for one node, whose ID it takes.
func clusterNode(s Streams, a *access, use, short string, aim func(context.Context, *operate.Client, *pace, model.BrokerID) (operate.Aim, error)) *cobra.Command {
	var p pace
	cmd := &cobra.Command{
		Use: use + " ID", Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			_, err := nodeID(cmd, args)
			return errors.Join(err, p.check())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, _ := nodeID(cmd, args) // checked
			return a.use(func(c *operate.Client) error {
				to, err := aim(cmd.Context(), c, &p, id)
				if err != nil {
					return err
				}
				return p.run(cmd.Context(), s, c, to)
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func clusterAdd(s Streams, a *access) *cobra.Command {
	var vote bool
	cmd := clusterNode(s, a, "add-node", "Wait until a node has joined, and give it its share of the partitions",
		func(ctx context.Context, c *operate.Client, p *pace, id model.BrokerID) (operate.Aim, error) {
			r, _, err := p.balance(ctx, c)
			return operate.AddNode{ID: id, Voter: vote, Rebalance: r}, err
		})
	cmd.Flags().BoolVar(&vote, "voter", false, "the node is to vote on the metadata, even if five others do")
	return cmd
}

func clusterRemove(s Streams, a *access) *cobra.Command {
	return clusterNode(s, a, "remove-node", "Move everything off a node, take its vote, and have the cluster forget it",
		func(_ context.Context, _ *operate.Client, p *pace, id model.BrokerID) (operate.Aim, error) {
			return operate.RemoveNode{ID: id, Limit: p.limit}, nil
		})
}

func clusterRebalance(s Streams, a *access) *cobra.Command {
	var p pace
	var dry bool
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Spread replicas and leaders evenly over the nodes in service",
		Args: func(cmd *cobra.Command, args []string) error { return errors.Join(plain(noArgs(cmd, args)), p.check()) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(func(c *operate.Client) error {
				r, v, err := p.balance(cmd.Context(), c)
				switch {
				case err != nil:
					return err
				case dry:
					return printPlan(s.Out, r, v)
				}
				return p.run(cmd.Context(), s, c, r)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would move first")
	p.flags(cmd)
	return cmd
}

// printPlan shows all that a rebalance would begin with.
func printPlan(w io.Writer, r operate.Rebalance, v *operate.View) error {
	r.Limit = len(v.Partitions) + 1
	plan := r.Plan(v)
	was := map[model.TopicPartition][]model.BrokerID{}
	for i := range v.Partitions {
		was[v.Partitions[i].TopicPartition] = v.Partitions[i].Replicas
	}
	var b strings.Builder
	for _, m := range plan.Moves {
		fmt.Fprintf(&b, "%s: %v -> %v\n", m.TopicPartition, was[m.TopicPartition], m.Replicas)
	}
	fmt.Fprintln(&b, planned(plan))
	_, err := io.WriteString(w, b.String())
	return err
}

func planned(plan controller.Plan) string {
	if plan.Done() {
		return "Replicas and leaders are spread evenly: nothing would move."
	}
	return fmt.Sprintf("%d partitions would move, %d reassignments are under way; what follows is planned when these are done.", len(plan.Moves), plan.Under)
}
