package exactlyonce

import (
	"flag"
	"os"
	"testing"
)

var (
	rounds = flag.Int("exactlyonce.rounds", 2, "how many faults a story has")
	client = flag.String("exactlyonce.client", "franz-go", "whose processors: franz-go, java or librdkafka")
	seed   = flag.Uint64("exactlyonce.seed", 0, "of the faults; zero: a random one")
	server = flag.String("exactlyonce.bin", "", "the server to test, instead of one built from this tree")
	keep   = flag.Bool("exactlyonce.keep", false, "keep the data and the logs also if the test passes")
)

// asProcessor, if set, makes this program a processor instead of a test.
const asProcessor = "EXACTLYONCE_PROCESSOR"

func TestMain(m *testing.M) {
	if os.Getenv(asProcessor) != "" {
		processFranzGo(os.Args[1:])
	}
	flag.Parse()
	os.Exit(m.Run())
}
