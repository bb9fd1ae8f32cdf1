package exactlyonce

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/exactlyonce/loop"
)

var (
	rounds = flag.Int("exactlyonce.rounds", 1, "how many faults a story has")
	client = flag.String("exactlyonce.client", "franz-go", "whose processors: franz-go, java or librdkafka")
	proto  = flag.String("exactlyonce.protocol", loop.Classic, "of their group: classic or consumer (KIP-848)")
	seed   = flag.Uint64("exactlyonce.seed", 0, "of the faults; zero: a random one")
	server = flag.String("exactlyonce.bin", "", "the server to test, instead of one built from this tree")
	keep   = flag.Bool("exactlyonce.keep", false, "keep the data and the logs also if the test passes")
)

// asProcessor, if set, makes this program a processor instead of a test.
const asProcessor = "EXACTLYONCE_PROCESSOR"

func TestMain(m *testing.M) {
	if os.Getenv(asProcessor) != "" {
		process(os.Args[1:])
	}
	flag.Parse()
	os.Exit(m.Run())
}

// process is a processor of franz-go, until it is killed or finds something wrong.
func process(args []string) {
	j, err := loop.Parse(args)
	if err == nil {
		err = loop.Copy(context.Background(), j, os.Stderr, kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, loop.Clock)))
	}
	fmt.Fprintf(os.Stderr, "fatal: %v\n", err)
	os.Exit(1)
}
