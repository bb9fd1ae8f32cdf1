package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestClusterUsage: wrong usage ends with 1, because 2 says that a cluster is degraded.
func TestClusterUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"status", "now"}, `"now"`},
		{[]string{"status", "--output", "xml"}, `"xml"`},
		{[]string{"status", "--no-such-flag"}, "no-such-flag"},
		{[]string{"status", "--bootstrap-servers", ""}, "names no broker"},
		{[]string{"grow"}, `"grow" is not a command`},
		{[]string{"remove-node"}, "the ID of one node"},
		{[]string{"remove-node", "three"}, `"three" is not the ID`},
		{[]string{"remove-node", "3", "--limit", "0"}, "at least 1"},
		{[]string{"add-node", "4", "--throttle", "-1"}, "negative"},
		{[]string{"rebalance", "3"}, `"3"`},
	} {
		code, out, stderr := command(t, Chronik, append([]string{"cluster"}, tc.args...)...)
		if code != ExitFail || out != "" || !strings.Contains(stderr, tc.says) {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q; want %d and %q", tc.args, code, out, stderr, ExitFail, tc.says)
		}
	}
	if code, out, _ := command(t, Chronik, "cluster"); code != ExitOK || !strings.Contains(out, "remove-node") {
		t.Errorf("without a command: exit code %d, %s", code, out)
	}
}

// TestClusterOfOne: a broker alone is a healthy cluster, in both forms; there is nothing to rebalance, and nobody else to hold what it holds.
func TestClusterOfOne(t *testing.T) {
	line, stop := started(t, "standalone", "--kafka-port", "0", "--http-port", "0", "--data-dir", t.TempDir(), "--log-level", "error")
	_, rest, _ := strings.Cut(line, "Kafka on ")
	address := strings.TrimRight(strings.Fields(rest)[0], ",;")
	code, out, stderr := command(t, Chronik, "cluster", "status", "--bootstrap-servers", address)
	if code != ExitOK || !strings.Contains(out, "is healthy") || !strings.Contains(out, address) {
		t.Errorf("status: exit code %d, stdout %s, stderr %s", code, out, stderr)
	}
	code, out, stderr = command(t, Chronik, "cluster", "status", "--bootstrap-servers", address, "--output", "json")
	var r struct {
		Healthy bool `json:"healthy"`
		Nodes   []struct {
			Active bool `json:"active"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(out), &r); code != ExitOK || err != nil || !r.Healthy || len(r.Nodes) != 1 || !r.Nodes[0].Active {
		t.Errorf("status in JSON: exit code %d, %v, stdout %s, stderr %s", code, err, out, stderr)
	}
	code, out, stderr = command(t, Chronik, "cluster", "rebalance", "--dry-run", "--bootstrap-servers", address)
	if code != ExitOK || !strings.Contains(out, "nothing would move") {
		t.Errorf("a plan: exit code %d, stdout %s, stderr %s", code, out, stderr)
	}
	code, out, stderr = command(t, Chronik, "cluster", "rebalance", "--bootstrap-servers", address)
	if code != ExitOK || !strings.Contains(out, "are even") {
		t.Errorf("a rebalance: exit code %d, stdout %s, stderr %s", code, out, stderr)
	}
	code, _, stderr = command(t, Chronik, "cluster", "remove-node", "1", "--bootstrap-servers", address)
	if code != ExitFail || !strings.Contains(stderr, "only voter") {
		t.Errorf("removing the only node: exit code %d, stderr %s", code, stderr)
	}
	if code, stderr := stop(); code != ExitOK {
		t.Errorf("stopping: exit code %d: %s", code, stderr)
	}
}

// TestClusterUnreachable: nobody there is 1, and the message names the address.
func TestClusterUnreachable(t *testing.T) {
	code, out, stderr := command(t, Chronik, "cluster", "status", "--bootstrap-servers", "127.0.0.1:1")
	if code != ExitFail || out != "" || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, stderr)
	}
}
