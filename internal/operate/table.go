package operate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"chronik/internal/model"
)

// WriteText writes a report for a person: what is wrong and what to do first, then who is there, then the numbers.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if r.Healthy {
		fmt.Fprintf(&b, "Cluster %s is healthy.\n", r.Cluster)
	} else {
		fmt.Fprintf(&b, "Cluster %s is DEGRADED:\n", r.Cluster)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "  ! %s. To do: %s\n", p.What, p.Do)
	}
	b.WriteByte('\n')
	r.writeNodes(&b)
	fmt.Fprintf(&b, "\nMetadata: controller %s, epoch %d, %s, %s, %d committed\n", nodeOrNone(r.Metadata.Controller), r.Metadata.Epoch,
		count(len(r.Metadata.Voters), "voter"), count(len(r.Metadata.Learners), "learner"), r.Metadata.HighWatermark)
	p := &r.Partitions
	fmt.Fprintf(&b, "Partitions: %d in %s; %d offline, %d under min ISR, %d under-replicated, %d with ELR\n", p.Total, count(p.Topics, "topic"),
		len(p.Offline), len(p.UnderMinISR), len(p.UnderReplicated), len(p.WithELR))
	r.writeMoves(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func nodeOrNone(id model.BrokerID) string {
	if id == model.NoBroker {
		return "not known"
	}
	return fmt.Sprint(id)
}

func (r *Report) writeNodes(b *strings.Builder) {
	part := map[model.BrokerID]string{}
	for _, f := range r.Metadata.Learners {
		part[f.Node] = f.text("learner")
	}
	for _, f := range r.Metadata.Voters {
		role := "voter"
		if f.Node == r.Metadata.Controller {
			role = "controller"
		}
		part[f.Node] = f.text(role)
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tADDRESS\tRACK\tSTATE\tLEADERS\tREPLICAS\tMETADATA")
	for _, n := range r.Nodes {
		state := "OUT OF SERVICE"
		if n.Active {
			state = "active"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%d\t%s\n", n.ID, n.Address, dash(n.Rack), state, n.Leaders, n.Replicas, dash(part[n.ID]))
		delete(part, n.ID)
	}
	for _, id := range sortedKeys(part) {
		fmt.Fprintf(t, "%d\t-\t-\tnot registered\t0\t0\t%s\n", id, part[id])
	}
	_ = t.Flush() // a Builder takes everything
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// shownMoves is how many reassignments are named.
const shownMoves = 20

func (r *Report) writeMoves(b *strings.Builder) {
	if len(r.Reassignments) == 0 {
		return
	}
	fmt.Fprintf(b, "Reassignments under way: %d\n", len(r.Reassignments))
	for _, m := range r.Reassignments[:min(len(r.Reassignments), shownMoves)] {
		fmt.Fprintf(b, "  %s: adding %v, removing %v, in sync %v\n", m.Partition, m.Adding, m.Removing, m.ISR)
	}
	if rest := len(r.Reassignments) - shownMoves; rest > 0 {
		fmt.Fprintf(b, "  and %d more\n", rest)
	}
}
