package bench

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func parse(t *testing.T, args ...string) (Options, error) {
	t.Helper()
	var f Flags
	cmd := &cobra.Command{RunE: func(*cobra.Command, []string) error { return f.Resolve() }, SilenceErrors: true, SilenceUsage: true}
	f.Bind(cmd)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		return f.Options, err
	}
	return f.Options, f.Options.Validate()
}

func TestTheCommandLineOfTheREADME(t *testing.T) {
	o, err := parse(t, strings.Fields("--bootstrap-servers localhost:9092 --duration 30 --concurrency 128 --message-size 256")...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Brokers, []string{"localhost:9092"}) || o.Duration != 30*time.Second || o.Concurrency != 128 || o.MessageSize != 256 {
		t.Errorf("%+v", o)
	}
	if o.Mode != Produce || o.Rate != 0 || o.Connections != 1 {
		t.Errorf("not a closed loop of produce on one connection: %+v", o)
	}
}

func TestBadFlagsSayWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"--duration soon":                        "give seconds",
		"--acks 2":                               "use 0, 1, -1 or all",
		"--message-size 10":                      "header takes 40",
		"--connections 200":                      "--concurrency 128 is below",
		"--idempotence":                          "needs --acks -1",
		"--mode fly":                             "use produce, consume, round-trip, commit",
		"--compression rar":                      "use none, gzip",
		"--bootstrap-servers ,":                  "at least one host:port",
		"--samples 0":                            "always verified",
		"--rate -1":                              "records per second",
		"--duration 0":                           "above 0",
		"--verify some":                          "use sample or full",
		"--partitioner mine":                     "round-robin or sticky",
		"--mode commit":                          "raise --partitions",
		"--members 0":                            "--members must be",
		"--group-protocol old":                   "use range, cooperative or consumer",
		"--heartbeat 0s":                         "--heartbeat must be",
		"--transaction-records 0":                "--transaction-records must be",
		"--batch-bytes 1":                        "at least 512",
		"--partitions 0 --max-in-flight 0":       "--partitions must be",
		"--fetch-bytes 1 --replication-factor 0": "--fetch-bytes",
	} {
		if _, err := parse(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something with %q", args, err, want)
		}
	}
}

func TestUnreachableBrokerSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Brokers = []string{addr}
	_, err = Run(t.Context(), o, func(Progress) {})
	if err == nil || !strings.Contains(err.Error(), "chronik-server standalone") || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := DefaultOptions()
	o.Brokers = []string{"127.0.0.1:1"}
	if res, err := Run(ctx, o, func(Progress) {}); err == nil || res != nil {
		t.Errorf("%v, %v", res, err)
	}
}
