package rig

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// Clients is the place of the test and its clients in the network, beside the nodes, which count from 1.
const Clients = 0

// Network is the namespaces, the links between them, and the faults that they have now.
type Network struct {
	prefix string // of the namespaces' names
	subnet string // "198.18.7."
	nodes  int
	faults []Fault
}

// Fault is something that a link does to packets on their way from one place to another.
type Fault struct {
	From, To int
	Lose     int // percent of the packets: 100 is a cut
}

// Cut is the loss of everything between two places, both ways.
func Cut(a, b int) []Fault { return []Fault{{From: a, To: b, Lose: 100}, {From: b, To: a, Lose: 100}} }

// newNetwork makes the namespaces of n nodes. It skips the test where the machine cannot.
func newNetwork(t testing.TB, n int) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root: run make chaos as root")
	}
	for _, tool := range []string{"ip", "nft", "tc", "nsenter"} {
		if _, err := run(tool, "--version"); err != nil {
			if _, err = run(tool, "-V"); err != nil {
				t.Skipf("this machine has no %s (Debian: iproute2, nftables, util-linux): %v", tool, err)
			}
		}
	}
	sweep(t)
	subnet, err := freeSubnet()
	if err != nil {
		t.Fatal(err)
	}
	w := &Network{prefix: prefixOf(os.Getpid()), subnet: subnet, nodes: n}
	t.Cleanup(func() {
		// A namespace that is deleted goes in its own time, its links with it; this one would still hold the address.
		_, _ = run("ip", "link", "del", outside(os.Getpid()))
		if err := removeNamespaces(w.prefix); err != nil {
			t.Errorf("removing the namespaces: %v", err)
		}
	})
	if _, err := run("ip", "netns", "add", w.hub()); err != nil {
		t.Skipf("this machine lets nobody make network namespaces: %v", err)
	}
	if err := w.build(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *Network) build() error {
	hub, outside := w.hub(), outside(os.Getpid())
	err := runAll(
		fmt.Sprintf("ip -n %s link add bridge type bridge", hub),
		fmt.Sprintf("ip -n %s link set bridge up", hub),
		fmt.Sprintf("ip link add %s type veth peer name client netns %s", outside, hub),
		fmt.Sprintf("ip -n %s link set client master bridge up", hub),
		fmt.Sprintf("ip addr add %s/24 dev %s", w.IP(Clients), outside),
		fmt.Sprintf("ip link set %s up", outside),
	)
	for id := 1; id <= w.nodes && err == nil; id++ {
		err = runAll(
			fmt.Sprintf("ip netns add %s", w.namespace(id)),
			fmt.Sprintf("ip -n %s link add %s type veth peer name eth0 netns %s", hub, portOf(id), w.namespace(id)),
			fmt.Sprintf("ip -n %s link set %s master bridge up", hub, portOf(id)),
			fmt.Sprintf("ip -n %s link set lo up", w.namespace(id)),
			fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", w.namespace(id), w.IP(id)),
			fmt.Sprintf("ip -n %s link set eth0 up", w.namespace(id)),
		)
	}
	if err != nil {
		return err
	}
	rules := "add table netdev faults\n"
	for id := Clients; id <= w.nodes; id++ {
		rules += fmt.Sprintf("add chain netdev faults %[1]s { type filter hook ingress device %[1]q priority 0; policy accept; }\n", portOf(id))
	}
	return w.nft(rules)
}

// IP is the address of a place.
func (w *Network) IP(place int) string {
	if place == Clients {
		return w.subnet + "254"
	}
	return fmt.Sprint(w.subnet, place)
}

// Add puts faults on top of those that there are.
func (w *Network) Add(faults ...Fault) error {
	w.faults = append(w.faults, faults...)
	return w.apply()
}

// Isolate cuts a node off from everything, clients included.
func (w *Network) Isolate(id int) error {
	var faults []Fault
	for other := Clients; other <= w.nodes; other++ {
		if other != id {
			faults = append(faults, Cut(id, other)...)
		}
	}
	return w.Add(faults...)
}

// Heal takes all faults away.
func (w *Network) Heal() error {
	w.faults = nil
	return w.apply()
}

// Slow holds what a node sends and what it is sent to a rate in bytes a second, with a queue of that many bytes before packets are lost. The queue is the delay: queue/rate.
func (w *Network) Slow(id, rate, queue int) error {
	shape := func(ns, dev string) string {
		return fmt.Sprintf("tc -n %s qdisc replace dev %s root tbf rate %dbps burst 16kb limit %db", ns, dev, rate, queue)
	}
	return runAll(shape(w.namespace(id), "eth0"), shape(w.hub(), portOf(id)))
}

// Fast undoes Slow.
func (w *Network) Fast(id int) error {
	return runAll(fmt.Sprintf("tc -n %s qdisc del dev eth0 root", w.namespace(id)), fmt.Sprintf("tc -n %s qdisc del dev %s root", w.hub(), portOf(id)))
}

// apply replaces the rules of all ports at once: nft -f is one transaction.
func (w *Network) apply() error {
	var rules strings.Builder
	for id := Clients; id <= w.nodes; id++ {
		fmt.Fprintf(&rules, "flush chain netdev faults %s\n", portOf(id))
	}
	for _, f := range w.faults {
		which := ""
		if f.Lose < 100 {
			which = fmt.Sprintf("numgen random mod 100 < %d ", f.Lose)
		}
		fmt.Fprintf(&rules, "add rule netdev faults %s ip daddr %s %sdrop\n", portOf(f.From), w.IP(f.To), which)
	}
	return w.nft(rules.String())
}

func (w *Network) nft(rules string) error {
	_, err := feed(rules, "ip", "netns", "exec", w.hub(), "nft", "-f", "-")
	return err
}

func (w *Network) hub() string             { return w.prefix + "hub" }
func (w *Network) namespace(id int) string { return fmt.Sprint(w.prefix, "n", id) }

// outside is the end of the link in the root namespace. Names of links have at most 15 bytes.
func outside(pid int) string { return fmt.Sprintf("ck%d", pid) }

// portOf is the bridge's port to a place.
func portOf(place int) string {
	if place == Clients {
		return "client"
	}
	return fmt.Sprint("p", place)
}

// freeSubnet finds a part of the addresses for benchmarks (RFC 2544) that this machine has no address in.
func freeSubnet() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for x := range 256 {
		subnet := fmt.Sprintf("198.18.%d.", x)
		if !slices.ContainsFunc(addrs, func(a net.Addr) bool { return strings.HasPrefix(a.String(), subnet) }) {
			return subnet, nil
		}
	}
	return "", fmt.Errorf("all of 198.18.0.0/16 is in use: remove the links that earlier runs left (ip link)")
}
