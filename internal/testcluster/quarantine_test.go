package testcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

const (
	logDir     = "/data/wal/partitions/t-0"
	headerSize = 4096 // of a segment
)

// segment changes the first segment of the log on a node's disk: damage that a disk does without a word.
func (c *Cluster) segment(id int, change func(f vfs.File)) {
	c.T.Helper()
	disk := c.machine(id).disk
	entries, err := disk.ReadDir(logDir)
	if err != nil {
		c.T.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, "segment_") {
			continue
		}
		f, err := disk.Open(path.Join(logDir, e.Name))
		if err != nil {
			c.T.Fatal(err)
		}
		change(f)
		if err := f.Sync(); err != nil {
			c.T.Fatal(err)
		}
		if err := f.Close(); err != nil {
			c.T.Fatal(err)
		}
		return
	}
	c.T.Fatalf("node %d has no segment: %v", id, entries)
}

// flip flips a bit within the first batch.
func flip(t *testing.T) func(vfs.File) {
	return func(f vfs.File) {
		b := make([]byte, 1)
		const at = headerSize + 66 // behind the header of the batch
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 4
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
}

// tear cuts a file off, below what was synced.
func tear(t *testing.T) func(vfs.File) {
	return func(f vfs.File) {
		if err := f.Truncate(headerSize + 100); err != nil {
			t.Fatal(err)
		}
	}
}

// quarantined are the logs that a node has set aside.
func (c *Cluster) quarantined(id int) (names []string) {
	entries, err := c.machine(id).disk.ReadDir("/data/wal/quarantine")
	if err != nil && !strings.Contains(err.Error(), fs.ErrNotExist.Error()) {
		c.T.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

// contents is the log on a node's disk.
func (c *Cluster) contents(id int, topic model.TopicID) []byte {
	c.T.Helper()
	disk := c.machine(id).disk
	commit := wal.NewCommitter(wal.CommitterOptions{FS: disk})
	defer commit.Close()
	l, rec, err := wal.Open(wal.Options{FS: disk, Dir: logDir, Partition: model.TopicPartition{Topic: "t"}, TopicID: topic, Config: wal.DefaultConfig(), Committer: commit})
	if err != nil || rec.Corruption != nil {
		c.T.Fatalf("the log of node %d: %v, %v", id, err, rec.Corruption)
	}
	defer l.Abandon(nil)
	var out []byte
	for at := l.Start(); at < l.End(); {
		r, err := l.Read(at, l.End(), 1<<20, true)
		if err != nil {
			c.T.Fatalf("the log of node %d: %v", id, err)
		}
		if out, err = r.ReadAll(out); err != nil {
			c.T.Fatal(err)
		}
		at = r.Next()
		r.Release()
	}
	return out
}

// leads waits until somebody leads the partition, and returns who does, and its replicas.
func (c *Cluster) leads(cl *kgo.Client, suits func(leader int) bool) kadm.PartitionDetail {
	c.T.Helper()
	for range 300 {
		m, err := kadm.NewClient(cl).Metadata(c.T.Context(), "t")
		if err == nil && len(m.Topics["t"].Partitions) > 0 {
			if p := m.Topics["t"].Partitions[0]; p.Leader > 0 && suits(int(p.Leader)) {
				return p
			}
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	c.T.Fatal("the wrong node leads")
	return kadm.PartitionDetail{}
}

// readAll reads all records from the beginning.
func (c *Cluster) readAll(records int) {
	c.T.Helper()
	in := c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer in.Close()
	ctx, cancel := context.WithTimeout(c.T.Context(), time.Minute)
	defer cancel()
	next := 0
	for next < records && ctx.Err() == nil {
		in.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(next) {
				c.T.Errorf("record %s, want %d", r.Value, next)
			}
			next++
		})
	}
	if next != records {
		c.T.Errorf("read %d records of %d", next, records)
	}
}

// refused reads from the beginning, where the only replica is damaged: nothing comes.
func (c *Cluster) refused() {
	c.T.Helper()
	in := c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer in.Close()
	ctx, cancel := context.WithTimeout(c.T.Context(), 3*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		in.PollFetches(ctx).EachRecord(func(r *kgo.Record) { c.T.Errorf("damaged record %d was served", r.Offset) })
	}
}

// setAside waits until a node has set its log aside.
func (c *Cluster) setAside(id int) {
	c.T.Helper()
	for range 100 {
		if len(c.quarantined(id)) > 0 {
			return
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	c.T.Fatalf("node %d does not set its log aside", id)
}

// same stops all nodes and compares the logs of those that have one.
func (c *Cluster) same(cl *kgo.Client) {
	c.T.Helper()
	m, err := kadm.NewClient(cl).Metadata(c.T.Context(), "t")
	if err != nil {
		c.T.Fatal(err)
	}
	for id := 1; id <= 3; id++ {
		c.Stop(id)
	}
	topic, holders := model.TopicID(m.Topics["t"].ID), m.Topics["t"].Partitions[0].Replicas
	want := c.contents(int(holders[0]), topic)
	for _, id := range holders[1:] {
		if !bytes.Equal(c.contents(int(id), topic), want) {
			c.T.Errorf("the log of node %d differs from that of node %d", id, holders[0])
		}
	}
}

// damaged runs a test with three nodes, as many of which hold the same fifty records as there are replicas.
func damaged(t *testing.T, replicas int16, test func(t *testing.T, c *Cluster, cl *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := Start(t, 3, map[string]string{"min.insync.replicas": fmt.Sprint(max(replicas-1, 1)), "log.index.interval.bytes": "64"})
		cl := c.Client(kgo.RecordRetries(1000), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, replicas, nil, "t"); err != nil {
			t.Fatal(err)
		}
		acknowledge(t, cl, 0, 50)
		c.inSync(cl, int(replicas))
		test(t, c, cl)
	})
}

// TestL2DamagedFollower: a log that is found damaged at a start is set aside, and copied anew from the leader.
func TestL2DamagedFollower(t *testing.T) {
	damaged(t, 3, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		victim := int(c.leads(cl, func(int) bool { return true }).Leader)%3 + 1
		c.Stop(victim)
		c.segment(victim, tear(t))
		c.Run(victim)
		c.inSync(cl, 3)
		acknowledge(t, cl, 50, 60)
		if q := c.quarantined(victim); len(q) != 1 || q[0] != "t-0.1" {
			t.Errorf("in quarantine: %v", q)
		}
		c.readAll(60)
		c.same(cl)
	})
}

// TestL2DamagedLeader: a leader that meets damage when it is read has another one lead, sets its log aside, and copies it anew.
func TestL2DamagedLeader(t *testing.T) {
	damaged(t, 3, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		p := c.leads(cl, func(int) bool { return true })
		victim := int(p.Replicas[0])
		c.Stop(victim)
		c.segment(victim, flip(t))
		c.Run(victim)
		c.inSync(cl, 3)
		if q := c.quarantined(victim); len(q) != 0 {
			t.Fatalf("nobody has read it yet, and in quarantine is %v", q)
		}
		set := make(kadm.TopicsSet)
		set.Add("t", 0)
		if _, err := kadm.NewClient(cl).ElectLeaders(t.Context(), kadm.ElectPreferredReplica, set); err != nil {
			t.Fatal(err)
		}
		c.leads(cl, func(leader int) bool { return leader == victim })
		c.readAll(50)
		c.leads(cl, func(leader int) bool { return leader != victim })
		acknowledge(t, cl, 50, 60)
		c.setAside(victim)
		c.inSync(cl, 3)
		c.readAll(60)
		c.same(cl)
	})
}

// TestL2DamagedLastMember: while nobody else is in sync a damaged log is kept, and led with, but for what is damaged. When another replica
// has caught up, it takes over.
func TestL2DamagedLastMember(t *testing.T) {
	damaged(t, 2, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		p := c.leads(cl, func(int) bool { return true })
		victim, other := int(p.Leader), int(p.Replicas[0]+p.Replicas[1]-p.Leader)
		c.Stop(other)
		acknowledge(t, cl, 50, 60)
		c.Stop(victim)
		c.segment(victim, flip(t))
		c.Run(victim)
		c.leads(cl, func(leader int) bool { return leader == victim })
		c.refused()
		acknowledge(t, cl, 60, 70)
		if q := c.quarantined(victim); len(q) != 0 {
			t.Fatalf("the last log that has all is in quarantine: %v", q)
		}
		c.Run(other)
		c.leads(cl, func(leader int) bool { return leader == other })
		c.setAside(victim)
		c.inSync(cl, 2)
		acknowledge(t, cl, 70, 80)
		c.readAll(80)
		c.same(cl)
	})
}

// TestL2DamagedOnlyReplica: nobody has another copy. The log stays where it is, and its node says what can be done.
func TestL2DamagedOnlyReplica(t *testing.T) {
	damaged(t, 1, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		victim := int(c.leads(cl, func(int) bool { return true }).Leader)
		c.Stop(victim)
		c.segment(victim, flip(t))
		c.Run(victim)
		c.leads(cl, func(leader int) bool { return leader == victim })
		c.refused()
		acknowledge(t, cl, 50, 60)
		if q := c.quarantined(victim); len(q) != 0 {
			t.Errorf("the only log is in quarantine: %v", q)
		}
		c.mu.Lock()
		log := c.nodes[victim].Log.String()
		c.mu.Unlock()
		for _, want := range []string{"below its synced end", logDir, "offset 0 on", "kafka-delete-records.sh", "backup"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log does not say %q", want)
			}
		}
	})
}

// TestL2PowerGoesDuringRebuild: wherever the power goes while a log is set aside and copied, the next start goes on with it.
func TestL2PowerGoesDuringRebuild(t *testing.T) {
	damaged(t, 3, func(t *testing.T, c *Cluster, cl *kgo.Client) {
		victim := int(c.leads(cl, func(int) bool { return true }).Leader)%3 + 1
		acked, rebuilt := 50, 0
		for ops := int64(1); ops <= 80; ops++ {
			c.Stop(victim)
			c.segment(victim, tear(t))
			before := len(c.quarantined(victim))
			dead := c.CutAfter(victim, ops, crashfs.Random)
			if err := c.TryRun(victim); err != nil && !errors.Is(err, ErrPowerCut) {
				t.Fatal(err)
			}
			select {
			case <-dead:
				c.Bury(victim)
			case <-time.After(2 * time.Second): // it is healed by now
				c.Kill(victim)
			}
			if n := len(c.quarantined(victim)); n > before {
				rebuilt++
			}
			c.Run(victim)
			c.inSync(cl, 3)
			acknowledge(t, cl, acked, acked+2)
			acked += 2
			c.inSync(cl, 3)
			if n := len(c.quarantined(victim)); n <= before {
				t.Fatalf("after a power cut at operation %d the damaged log is not in quarantine", ops)
			}
		}
		t.Logf("the power went %d times when the log was set aside already", rebuilt)
		c.readAll(acked)
		c.same(cl)
	})
}
