package durability

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/ledger"
	"chronik/test/process"
)

// TestAcknowledgementFollowsSync traces the server's system calls while one record after the other is
// produced, and demands for each reply: between the write of the record to its segment and the reply on the
// socket, an fdatasync of that segment, blocking or asynchronous, began after the write and succeeded (D2).
func TestAcknowledgementFollowsSync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace (Debian: apt-get install strace)")
	}
	const records = 200
	out := filepath.Join(t.TempDir(), "trace")
	b := process.Start(t, process.Under(strace, "-f", "-y", "-s", "64", "-o", out,
		"-e", "trace=write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fdatasync,fsync,io_submit,io_getevents"))
	cl := client(t, b.KafkaAddr, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.ProducerLinger(0))
	createTopic(t, cl, "traced", 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for n := range uint64(records) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "traced", Value: ledger.Payload(n)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var c traceChecker
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.line(lines.Text())
	}
	for _, v := range c.violations {
		t.Error(v)
	}
	if c.covered < records {
		t.Errorf("the trace shows %d replies behind a sync, want at least %d: the trace is not of what it claims", c.covered, records)
	}
}

// traceChecker follows one topic's segment through a trace.
type traceChecker struct {
	pending    map[string]string // thread -> the call that it has begun
	dirty      bool              // bytes were written to the segment that no later sync covers
	syncing    map[string]bool   // threads and asynchronous requests whose sync of the segment began after the last write
	covered    int
	wrote      bool // since the last reply
	violations []string
}

var (
	traceLine = regexp.MustCompile(`^(\d+)\s+(.*)$`)
	segment   = regexp.MustCompile(`^(pwrite64|pwritev|pwritev2|fdatasync|fsync)\(\d+<[^>]*traced-0/segment_\d+\.wal>`)
	socket    = regexp.MustCompile(`^(write|writev|sendto|sendmsg)\(\d+<(TCP|socket)[^>]*`)
	submitted = regexp.MustCompile(`^io_submit\(.*\{aio_data=(0x[0-9a-f]+), aio_lio_opcode=IOCB_CMD_FDSYNC, aio_fildes=\d+<[^>]*traced-0/segment_\d+\.wal>`)
	completed = regexp.MustCompile(`\{data=(0x[0-9a-f]+), obj=0x[0-9a-f]+, res=(-?\d+)`)
	resumed   = regexp.MustCompile(`^<\.\.\. (\w+) resumed>`)
)

func (c *traceChecker) line(text string) {
	if c.pending == nil {
		c.pending, c.syncing = make(map[string]string), make(map[string]bool)
	}
	m := traceLine.FindStringSubmatch(text)
	if m == nil {
		return
	}
	thread, call := m[1], m[2]
	if resumed.MatchString(call) {
		begun := c.pending[thread]
		delete(c.pending, thread)
		c.end(thread, begun, call)
		return
	}
	c.begin(thread, call)
	if strings.HasSuffix(call, "<unfinished ...>") {
		c.pending[thread] = call
		return
	}
	c.end(thread, call, call)
}

// begin is where a reply must be covered, where a write makes dirty, and from where on a sync counts.
func (c *traceChecker) begin(thread, call string) {
	switch {
	case segment.MatchString(call) && strings.HasPrefix(call, "pwritev"): // batches; zeros and marks are pwrite64
		c.dirty, c.wrote = true, true
		clear(c.syncing) // a sync that is under way does not cover this write
	case segment.MatchString(call) && !strings.HasPrefix(call, "pwrite"):
		c.syncing[thread] = true
	case submitted.MatchString(call):
		c.syncing[submitted.FindStringSubmatch(call)[1]] = true
	case socket.MatchString(call):
		if c.wrote && c.dirty {
			c.violations = append(c.violations, "a reply left before the sync of what was written: "+call)
		}
		if c.wrote && !c.dirty {
			c.covered++
		}
		c.wrote = false
	}
}

func (c *traceChecker) end(thread, call, result string) {
	if strings.HasPrefix(call, "io_getevents") {
		for _, event := range completed.FindAllStringSubmatch(result, -1) {
			c.synced(event[1], event[2] == "0")
		}
		return
	}
	if !segment.MatchString(call) || strings.HasPrefix(call, "pwrite") {
		return
	}
	c.synced(thread, strings.HasSuffix(strings.TrimSpace(result), "= 0"))
}

// synced ends a sync, which counts only if nothing was written since it began.
func (c *traceChecker) synced(by string, ok bool) {
	if c.syncing[by] && ok {
		c.dirty = false
	}
	delete(c.syncing, by)
}
