package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"chronik/internal/model"
)

// Peer is another node of the cluster, and where it listens for brokers.
type Peer struct {
	ID   model.BrokerID
	Addr string // host:port
}

// ClusterTLS names the files by which a node knows others, and is known by them. They are all set, or none is.
type ClusterTLS struct {
	Certificate, Key, Authorities string
	Optional                      bool // nodes without TLS are dialled, and let in, too
}

// Enabled tells whether links to other nodes are TLS.
func (c *ClusterTLS) Enabled() bool { return c.Certificate != "" }

// clusterSettings are those of a node that is not alone.
var clusterSettings = []Setting{
	{Name: "raft-addr", Default: "", set: setRaftAddr,
		Doc: "host:port where this node listens for the other nodes of its cluster, and where they reach it. Setting it makes the node part of a cluster, if only of one node."},
	{Name: "peers", Default: "", set: setPeers,
		Doc: "The other nodes of the cluster, as `2@host:port,3@host:port` with their `node-id` and `raft-addr`. A new cluster begins when all of them have answered."},
	{Name: "replication-port", Default: "9291", set: func(s *Server, v string) (err error) { s.ReplicationPort, err = parsePort(v); return },
		Doc: "TCP port, at the host of `raft-addr`, where other nodes fetch the records that this node leads; 0 takes any free one."},
	{Name: "rack", Default: "", set: func(s *Server, v string) error { s.Rack = v; return nil },
		Doc: "The place of this node, for example its availability zone: replicas go to different ones. The same as Kafka's `broker.rack`."},
	{Name: "cluster-secret-file", Default: "", set: func(s *Server, v string) error { s.SecretFile = v; return nil },
		Doc: "File with the secret by which the nodes of the cluster know each other, the same on all: `openssl rand -base64 32` makes one. This or TLS is needed if `raft-addr` can be reached from other machines; with both, both have to be right."},
	{Name: "cluster-tls-cert", Default: "", set: func(s *Server, v string) error { s.TLS.Certificate = v; return nil },
		Doc: "PEM file with this node's certificate for links to other nodes, for the host of `raft-addr`, as a server and as a client. It is read again when it changes."},
	{Name: "cluster-tls-key", Default: "", set: func(s *Server, v string) error { s.TLS.Key = v; return nil },
		Doc: "PEM file with the key of `cluster-tls-cert`."},
	{Name: "cluster-tls-ca", Default: "", set: func(s *Server, v string) error { s.TLS.Authorities = v; return nil },
		Doc: "PEM file with the authorities that sign the nodes' certificates, and nothing else: whoever has a certificate of them is believed to be a node."},
	{Name: "cluster-tls", Default: "required", set: setClusterTLS,
		Doc: "`required`, or `optional` while a cluster with a secret changes to TLS: nodes without it are dialled, and let in, too."},
}

func setClusterTLS(s *Server, v string) error {
	s.TLS.Optional = v == "optional"
	if v != "optional" && v != "required" {
		return fmt.Errorf("%q is neither required nor optional", v)
	}
	return nil
}

func setRaftAddr(s *Server, v string) error {
	if v == "" {
		return nil
	}
	if err := checkHostPort(v); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(v)
	if host == "" || isWildcard(host) {
		return fmt.Errorf("%q names no host that other nodes can connect to: want this node's host name or address", v)
	}
	s.RaftAddr = v
	return nil
}

func checkHostPort(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q is not host:port", v)
	}
	_, err = parsePort(port)
	return err
}

func setPeers(s *Server, v string) error {
	s.Peers = nil
	for entry := range strings.SplitSeq(v, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		id, addr, ok := strings.Cut(entry, "@")
		if !ok {
			return fmt.Errorf("%q is not a peer: want id@host:port", entry)
		}
		var p Server
		if err := errors.Join(setNodeID(&p, id), checkHostPort(addr)); err != nil {
			return fmt.Errorf("%q: %w", entry, err)
		}
		if slices.ContainsFunc(s.Peers, func(o Peer) bool { return o.ID == p.NodeID }) {
			return fmt.Errorf("node %d is named twice", p.NodeID)
		}
		s.Peers = append(s.Peers, Peer{p.NodeID, addr})
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// Clustered tells whether the node is to be part of a cluster.
func (s *Server) Clustered() bool { return s.RaftAddr != "" }

// finishCluster refuses what makes no cluster.
func (s *Server) finishCluster() error {
	if rack, ok := s.Kafka["broker.rack"]; ok && s.Rack != "" && rack != s.Rack {
		return fmt.Errorf("rack is %q and broker.rack is %q: remove one of them", s.Rack, rack)
	}
	if s.Rack != "" {
		s.Kafka["broker.rack"] = s.Rack
	}
	// A list of peers may be the same everywhere: the node's own entry says nothing.
	s.Peers = slices.DeleteFunc(s.Peers, func(p Peer) bool { return p.ID == s.NodeID })
	t := &s.TLS
	switch {
	case t.Enabled() != (t.Key != "") || t.Enabled() != (t.Authorities != ""):
		return errors.New("cluster-tls-cert, cluster-tls-key and cluster-tls-ca belong together: set all of them, or none")
	case t.Optional && (!t.Enabled() || s.SecretFile == ""):
		return errors.New("cluster-tls is optional: that needs cluster-tls-cert, cluster-tls-key and cluster-tls-ca, and cluster-secret-file, by which nodes without TLS are known")
	case s.Clustered():
		return nil
	case t.Enabled():
		return errors.New("cluster-tls-cert is set but raft-addr is not: set raft-addr, or remove it")
	case len(s.Peers) > 0:
		return errors.New("peers is set but raft-addr is not: set raft-addr to the host:port where the peers reach this node")
	case s.SecretFile != "":
		return errors.New("cluster-secret-file is set but raft-addr is not: set raft-addr, or remove it")
	}
	return nil
}
