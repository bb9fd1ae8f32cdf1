package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kept = `{"t":0,"e":"producing","producer":{"acks":-1,"idempotent":true,"max_in_flight":5}}
{"t":10,"e":"invoked","v":"0/1"}
{"t":20,"e":"acked","v":"0/1"}
{"t":30,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}
{"t":40,"e":"final-bounds","end":1}
`

// TestVerifyHistory: the exit code says whether a history violates anything, the output what.
func TestVerifyHistory(t *testing.T) {
	good, bad := filepath.Join(t.TempDir(), "good"), filepath.Join(t.TempDir(), "bad")
	for name, text := range map[string]string{good: kept, bad: strings.Replace(kept, `{"t":30,"e":"final-read","r":[{"o":0,"v":["0/1"]}]}`, "", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := command(t, Chronik, "verify", "--history", good); code != ExitOK || !strings.Contains(out, "OK: nothing was violated") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs := command(t, Chronik, "verify", "--history", bad)
	if code != ExitFail || !strings.Contains(out, "VIOLATED lost-write: 1 times") || !strings.Contains(out, "0/1 (idempotent, acks=-1)") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = command(t, Chronik, "verify", "--history", bad, "--output", "json")
	var report struct {
		OK       *bool
		Findings []struct {
			Kind  string
			Count int
			First []struct{ Offset int }
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != ExitFail || report.OK == nil || *report.OK {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if f := report.Findings; len(f) != 1 || f[0].Kind != "lost-write" || f[0].Count != 1 || len(f[0].First) != 1 {
		t.Errorf("the JSON has %+v", f)
	}
}

func TestVerifyUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--history", "no-such-file"}, {"--output", "xml"}, {"--duration", "soon"}, {"--producers", "quick=1"}, {"--producers", "plain=many"},
		{"--consumers", "lazy"}, {"--spill-dir", "/no/such/directory"}, {"--partitions", "-1"}, {"--message-size", "1"}, {"--bootstrap-servers", ""}, {"more"},
	} {
		if code, out, errs := command(t, Chronik, append([]string{"verify"}, args...)...); code != ExitUsage || errs == "" {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}
