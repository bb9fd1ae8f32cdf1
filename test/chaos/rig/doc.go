// Package rig runs a cluster of real chronik-server processes for tests that break it: each node in a network namespace of its
// own, joined by one bridge in another, so that a link can be cut or slowed without the kernel telling either end; each node's
// data, if asked, on a small file system of its own that can fill up or stand still.
//
//	root namespace        hub namespace            node namespaces
//	clients  ck<pid> ---- client                   eth0  198.18.x.1
//	198.18.x.254          bridge   p1 ------------ eth0  198.18.x.2
//	                               p2 ------------ ...
//
// A fault of the network is an nftables rule at the bridge's port: packets vanish, nobody gets a reset (RST) or an ICMP error.
//
// What it makes carries the process ID of the test. It ends with the test; what a test that was killed left behind is swept
// up by the next one. Processes are ended by their process IDs only.
//
// The methods of a Cluster and its Nodes are for one goroutine, the test's; the clients that it makes are not so limited.
package rig
