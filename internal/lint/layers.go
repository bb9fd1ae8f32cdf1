package lint

// layers lists the packages of internal/ from the lowest to the highest. A package imports only what stands on an earlier line;
// within one line, what the line holds (wal and wal/epoch). A package belongs to the longest line that begins its path.
var layers = []string{
	// L0
	"invariant", "model", "wait", "vfs", "mem", "config",
	// L1
	"record", "wire", "link",
	// L2
	"wal", "metadata/command", "metadata/image", "metadata/controller",
	// L3
	"quorum", "replication", "replication/stream", "replica",
	"coordinator/schema", "coordinator/timeline", "coordinator/shard", "coordinator/runtime", "coordinator/group", "coordinator/txn", "coordinator/markers", "coordinator/share", "coordinator/sharestate",
	"security", "quota", "tier",
	// L4
	"peer", "broker/server", "broker/fetchsession", "broker/sharepartition", "broker/sharesession", "broker/sharing", "broker/api", "admin",
	// L5
	"node", "bench", "verify", "operate", "cli",
}

// testOnly are packages that only tests, and each other, import.
var testOnly = []string{"sim", "testcluster", "memnet", "lint", "vfs/crashfs", "vfs/faultfs", "vfs/vfstest", "link/certs/certstest", "node/nodetest", "coordinator/shardtest"}

// ban is what the packages below one path must not do.
type ban struct {
	path    string
	but     string   // a path below it that it is not for
	imports []string // import paths, with what is below them
	uses    []string // package.Name: the last element of the import path and the identifier
	routine bool     // starting goroutines
	why     string
}

var bans = []ban{
	{path: "record", imports: []string{"os", "net"}, why: "it judges bytes, wherever they are"},
	{path: "wire", imports: []string{"os", "net"}, why: "it judges bytes, wherever they are"},
	{path: "wal", imports: []string{"os", "github.com/twmb/franz-go"}, why: "the disk is behind vfs, and the log knows no protocol"},
	{path: "metadata/image", imports: pure, uses: impure, routine: true, why: "an image is a value"},
	{path: "metadata/controller", imports: pure, uses: impure, routine: true, why: "decisions are pure: time is an input"},
	{path: "replication", but: "replication/stream", imports: pure, uses: impure, routine: true, why: "leader and follower are decided under the replica's lock: time is an input"},
	{path: "coordinator/schema", imports: pure, uses: impure, routine: true, why: "it judges bytes, wherever they are"},
	{path: "coordinator/timeline", imports: pure, uses: impure, routine: true, why: "a map is a value that who owns the turn changes"},
	{path: "coordinator/shard", imports: pure, uses: impure, routine: true, why: "decisions are pure: time is an input, and the log is asked by the shell"},
	{path: "coordinator/group", imports: pure, uses: impure, routine: true, why: "a machine over a log is pure: time is an input"},
	{path: "coordinator/txn", imports: pure, uses: impure, routine: true, why: "a machine over a log is pure: time is an input"},
	{path: "coordinator/share", imports: pure, uses: impure, routine: true, why: "a machine over a log is pure: time is an input"},
	{path: "broker/sharepartition", imports: pure, uses: impure, routine: true, why: "it is decided under the turn of its partition: time is an input"},
	{path: "broker/sharesession", imports: pure, uses: impure, routine: true, why: "sessions are decided under the lock of who serves them: time is an input"},
	{path: "verify/history", imports: []string{"os", "net", "github.com/twmb/franz-go"}, uses: impure, routine: true, why: "the same events lead to the same verdict"},
	{path: "broker/api", imports: []string{"chronik/internal/vfs", "go.etcd.io/raft", "os"},
		uses: []string{"wal.Log", "wal.Open"}, why: "a log is reached through its replica, the disk through its log"},
	{path: "broker/server", imports: []string{"chronik/internal/model", "chronik/internal/record"}, why: "it moves requests and does not know what they mean"},
}

var (
	pure   = []string{"os", "net", "chronik/internal/wal", "chronik/internal/vfs", "chronik/internal/replica", "chronik/internal/wait"}
	impure = []string{
		"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
		"sync.Mutex", "sync.RWMutex", "sync.Cond", "sync.WaitGroup",
	}
)

// vague are package names that say nothing of what is inside.
var vague = []string{"util", "utils", "common", "manager", "managers", "helper", "helpers", "misc", "base", "shared"}

const (
	maxFileLines     = 1000
	wantFileLines    = 500
	maxFunctionLines = 70
)

// longFiles may have more than wantFileLines, each for a reason. An entry that is no longer needed fails.
var longFiles = map[string]string{}
