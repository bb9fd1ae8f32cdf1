package config

import (
	"strings"
	"testing"
)

func TestClusterSettings(t *testing.T) {
	s, err := Load(Inputs{Flags: map[string]string{
		"node-id": "2", "raft-addr": "localhost:5002", "peers": "3@localhost:5003, 1@localhost:5001,2@localhost:5002", "rack": "east",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Clustered() || len(s.Peers) != 2 || s.Peers[0] != (Peer{1, "localhost:5001"}) || s.Peers[1] != (Peer{3, "localhost:5003"}) {
		t.Errorf("peers %v: want nodes 1 and 3, the node itself is none", s.Peers)
	}
	if s.Kafka["broker.rack"] != "east" || s.ReplicationPort != 9291 {
		t.Errorf("rack %q, replication port %d", s.Kafka["broker.rack"], s.ReplicationPort)
	}
	s, err = Load(Inputs{Flags: map[string]string{"raft-addr": "localhost:1", "cluster-secret-file": "s", "cluster-tls": "optional",
		"cluster-tls-cert": "c", "cluster-tls-key": "k", "cluster-tls-ca": "a"}})
	if err != nil || s.TLS != (ClusterTLS{"c", "k", "a", true}) || !s.TLS.Enabled() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := Load(Inputs{}); err != nil || s.Clustered() {
		t.Errorf("a node without settings is part of a cluster (%v)", err)
	}
}

func TestClusterSettingsRefused(t *testing.T) {
	for _, c := range []struct{ flags, says string }{
		{"peers=2@localhost:5002", "set raft-addr"},
		{"cluster-secret-file=x", "set raft-addr"},
		{"cluster-tls-cert=c cluster-tls-key=k cluster-tls-ca=a", "set raft-addr"},
		{"raft-addr=h:1 cluster-tls-cert=c", "belong together"},
		{"raft-addr=h:1 cluster-tls-key=k cluster-tls-ca=a", "belong together"},
		{"raft-addr=h:1 cluster-tls-cert=c cluster-tls-key=k cluster-tls-ca=a cluster-tls=maybe", "neither required nor optional"},
		{"raft-addr=h:1 cluster-tls-cert=c cluster-tls-key=k cluster-tls-ca=a cluster-tls=optional", "cluster-secret-file"},
		{"raft-addr=h:1 cluster-tls=optional cluster-secret-file=s", "needs cluster-tls-cert"},
		{"raft-addr=5001", "not host:port"},
		{"raft-addr=0.0.0.0:5001", "names no host"},
		{"raft-addr=:5001", "names no host"},
		{"raft-addr=h:1 peers=2", "want id@host:port"},
		{"raft-addr=h:1 peers=x@h:2", "not a node ID"},
		{"raft-addr=h:1 peers=2@h", "not host:port"},
		{"raft-addr=h:1 peers=2@h:2,2@h:3", "named twice"},
	} {
		flags := map[string]string{}
		for f := range strings.FieldsSeq(c.flags) {
			name, value, _ := strings.Cut(f, "=")
			flags[name] = value
		}
		if _, err := Load(Inputs{Flags: flags}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", c.flags, err, c.says)
		}
	}
	_, err := Load(Inputs{Flags: map[string]string{"rack": "a"}, Env: []string{"CHRONIK_KAFKA_BROKER_RACK=b"}})
	if err == nil || !strings.Contains(err.Error(), "remove one of them") {
		t.Errorf("two racks: %v", err)
	}
}
