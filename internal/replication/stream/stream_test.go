package stream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
)

func TestManyPartitionsAreReplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 300, 2, 3)
		for _, l := range c.leads {
			l.syncTime = 3 * time.Millisecond
		}
		for _, f := range c.followers {
			for _, p := range f.follows {
				p.syncTime = 2 * time.Millisecond
			}
		}
		c.start()
		defer c.close()
		rng := rand.New(rand.NewPCG(1, 2))
		for range 5000 {
			c.leads[rng.IntN(len(c.leads))].produce(1+rng.IntN(5), 40+rng.IntN(9000))
			if rng.IntN(20) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		c.settled(5 * time.Second)
		c.same()
		for _, f := range c.followers {
			if f.ups.Load() != 1 {
				t.Errorf("node %d had %d links", f.id, f.ups.Load())
			}
			for i, p := range f.follows {
				if h := p.history(); h.asked != 1 || h.lost != 0 {
					t.Errorf("partition %d on %d asked %d times and lost %d links", i, f.id, h.asked, h.lost)
				}
			}
		}
	})
}

// TestLinksAreCut: whatever the moment, everything arrives in the end, once and in order, and each cut is told once.
func TestLinksAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 40, 2, 3)
		for i, l := range c.leads {
			l.log.hot = i % 5 * 3 // some feed from memory, some from the log
			l.syncTime = time.Millisecond
			l.readTime = time.Millisecond
		}
		c.network.SetDelay(500 * time.Microsecond)
		c.start()
		defer c.close()
		rng := rand.New(rand.NewPCG(3, 4))
		for range 60 {
			for range 100 {
				c.leads[rng.IntN(len(c.leads))].produce(1, 40+rng.IntN(20_000))
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			}
			cut := host(c.followers[rng.IntN(2)].id)
			c.network.Partition(host(leaderNode), cut)
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			c.network.Heal(host(leaderNode), cut)
		}
		c.settled(20 * time.Second)
		c.same()
		for _, f := range c.followers {
			ups := int(f.ups.Load())
			if ups < 10 {
				t.Errorf("node %d had %d links only", f.id, ups)
			}
			for i, p := range f.follows {
				if lost := p.history().lost; lost > ups-1 || lost < ups/2 {
					t.Errorf("partition %d on %d lost %d of %d links", i, f.id, lost, ups)
				}
				if lost := c.leads[i].lostBy(f.id); lost > ups-1 {
					t.Errorf("partition %d heard of %d lost links of %d", i, lost, ups)
				}
			}
		}
	})
}

// TestSilentNetwork: where everything is swallowed without a word, both ends know within the link's silence, busy or not, and records flow again
// within a second of the network's return.
func TestSilentNetwork(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 2)
				c.start()
				defer c.close()
				c.settled(time.Second)
				for round := range 10 {
					time.Sleep(time.Second + time.Duration(round)*17*time.Millisecond)
					for range map[bool]int{true: 20}[busy] {
						c.leads[0].produce(1, 50<<10)
					}
					c.silence(true)
					began := time.Now()
					for c.leads[1].lostBy(2) == round || c.followers[0].follows[1].history().lost == round {
						time.Sleep(time.Millisecond)
					}
					if took := time.Since(began); took > 600*time.Millisecond {
						t.Errorf("both knew after %v", took)
					}
					time.Sleep(time.Duration(round) * 333 * time.Millisecond)
					c.silence(false)
					c.settled(time.Second)
				}
			})
		})
	}
}

// TestLinkLostIsToldOnce: to every partition that was subscribed, on both sides, and to no other.
func TestLinkLostIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 50, 2)
		idle := newFollowing(2, model.TopicID{9}, 0, &c.followers[0].numbers, window) // follows nobody yet
		idle.route = c.followers[0].receiver.Follow(idle)
		c.start()
		defer c.close()
		c.settled(time.Second)
		for cut := range 3 {
			c.network.Partition(host(1), host(2))
			c.network.Heal(host(1), host(2))
			time.Sleep(2 * time.Second)
			for i, l := range c.leads {
				if got := c.followers[0].follows[i].history().lost; got != cut+1 {
					t.Errorf("after %d cuts, partition %d's follower heard of %d", cut+1, i, got)
				}
				if got := l.lostBy(2); got != cut+1 {
					t.Errorf("after %d cuts, partition %d's leader heard of %d", cut+1, i, got)
				}
			}
		}
		if lost := idle.history().lost; lost != 0 {
			t.Errorf("a partition that had not subscribed heard of %d lost links", lost)
		}
		c.settled(time.Second)
	})
}

// TestSlowFollowerHoldsUpNobody: its credit bounds what is on its way to it, and the other follower has everything at once.
func TestSlowFollowerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10, 2, 3)
		for _, p := range c.followers[1].follows {
			p.syncTime = 500 * time.Millisecond
		}
		c.start()
		defer c.close()
		c.settled(time.Second)
		for range 400 {
			for _, l := range c.leads {
				l.produce(1, 4000)
			}
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		for i, l := range c.leads {
			end := l.log.own().End
			if got := c.followers[0].follows[i].log.own().Synced; got < end-2 {
				t.Errorf("partition %d: the fast follower is at %d of %d", i, got, end)
			}
			own := c.followers[1].follows[i].log.own()
			if ahead := int(own.End-own.Synced) * 4000; ahead > window+4000 {
				t.Errorf("partition %d: %d bytes are on their way to the slow follower, its window is %d", i, ahead, window)
			}
		}
		for _, p := range c.followers[1].follows {
			p.mu.Lock()
			p.syncTime = 0
			p.mu.Unlock()
		}
		c.settled(20 * time.Second)
		c.same()
	})
}

// TestLaggardsReadInTheirOwnLane: partitions that must be read from a slow disk hold up no batch of those that are in memory. They are read in pieces as
// large as the credit, and sent in pieces that leave the others their turns.
func TestLaggardsReadInTheirOwnLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 30, 2)
		for i, l := range c.leads {
			if i < 20 { // these begin with megabytes that the follower lacks
				for range 300 {
					b := makeBatch(l.log.end(), 1, 4, 10_000)
					l.log.append(b.Bytes(), b)
					b.Release()
				}
				l.log.syncTo(l.log.end())
				l.log.hot, l.readTime = 0, 100*time.Millisecond
			}
		}
		c.start()
		defer c.close()
		time.Sleep(100 * time.Millisecond)
		for range 50 { // while that goes on
			for _, l := range c.leads[20:] {
				l.produce(1, 1000)
			}
			began := time.Now()
			synctest.Wait()
			for i, l := range c.leads[20:] {
				if l.watermark() != l.log.own().End || time.Since(began) > 0 {
					t.Fatalf("partition %d waits for laggards", 20+i)
				}
			}
			time.Sleep(time.Millisecond)
		}
		if c.leads[0].watermark() == c.leads[0].log.own().End {
			t.Error("the laggards had caught up already: this shows nothing")
		}
		c.settled(2 * time.Minute)
		c.same()
		for i, l := range c.leads[:20] {
			if reads := l.reads.Load(); reads > 300*10_000/(window/2)+3 {
				t.Errorf("partition %d was read in %d pieces, with a window of %d bytes", i, reads, window)
			}
			if n := c.followers[0].follows[i].history().largest; n > quantum {
				t.Errorf("partition %d was sent %d bytes at once", i, n)
			}
		}
	})
}

// TestTruncationRounds: a log that parted from the leader's in several epochs is cut until the two agree (R2).
func TestTruncationRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 2)
		write := func(l *memLog, count int, epoch model.LeaderEpoch) {
			for range count {
				b := makeBatch(l.end(), 1, epoch, 100+int(epoch))
				l.append(b.Bytes(), b)
				b.Release()
			}
			l.syncTo(l.end())
		}
		for i, l := range c.leads {
			f := &c.followers[0].follows[i].log
			write(&l.log, 10, 0)
			write(f, 10, 0)
			write(&l.log, 5, 1) // the leader went on in epochs 1 and 4, the follower in 1, 2 and 3
			write(f, 8, 1)
			write(f, 4, 2)
			write(f, 6, 3)
			write(&l.log, 20, 4)
		}
		c.start()
		defer c.close()
		c.settled(5 * time.Second)
		c.same()
		for i, p := range c.followers[0].follows {
			if cuts := p.history().cuts; len(cuts) == 0 || cuts[len(cuts)-1] != 15 {
				t.Errorf("partition %d was cut to %v", i, cuts)
			}
		}
	})
}

// TestFollowerBelowTheLogStart restarts there, at once or in the middle of its stream.
func TestFollowerBelowTheLogStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 2)
		fresh, overtaken := c.leads[0], c.leads[1]
		for _, l := range c.leads {
			for range 2000 {
				b := makeBatch(l.log.end(), 1, 4, 5000)
				l.log.append(b.Bytes(), b)
				b.Release()
			}
			l.log.syncTo(l.log.end())
			l.log.hot, l.readTime = 0, 20*time.Millisecond
		}
		fresh.log.trim(500)
		c.start()
		defer c.close()
		time.Sleep(200 * time.Millisecond)
		overtaken.trim(1500)
		c.settled(10 * time.Second)
		for i, p := range c.followers[0].follows {
			if own := p.log.own(); p.history().restarts != 1 || own.Start != c.leads[i].log.own().Start {
				t.Errorf("partition %d restarted %d times and begins at %d", i, p.history().restarts, own.Start)
			}
		}
		c.same()
	})
}

// TestDuplicateSubscriptions: a question that comes twice is answered once, and starts one stream.
func TestDuplicateSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 20, 2)
		for _, p := range c.followers[0].follows {
			p.twice = true
		}
		c.start()
		defer c.close()
		for range 200 {
			for _, l := range c.leads {
				l.produce(1, 100)
			}
			time.Sleep(time.Millisecond)
			for _, p := range c.followers[0].follows[:5] { // again, long after it was answered
				p.route.receiver.mu.Lock()
				ask := p.route.ask
				p.route.receiver.mu.Unlock()
				p.route.Subscribe(ask)
			}
		}
		c.settled(5 * time.Second)
		c.same()
	})
}

// TestClosedRoutesHearNothing, and the others go on.
func TestClosedRoutesHearNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 2)
		c.start()
		defer c.close()
		c.settled(time.Second)
		gone := c.followers[0].follows[0]
		gone.route.Close()
		synctest.Wait()
		for _, l := range c.leads {
			l.produce(1, 100)
		}
		time.Sleep(100 * time.Millisecond)
		if own := gone.log.own(); own.End != 0 {
			t.Errorf("the closed route got %+v", own)
		}
		c.network.Partition(host(1), host(2))
		synctest.Wait()
		c.network.Heal(host(1), host(2))
		time.Sleep(time.Second)
		if gone.history().lost != 0 {
			t.Error("the closed route heard of the lost link")
		}
		if own := c.followers[0].follows[1].log.own(); own.End != 1 {
			t.Errorf("another one is at %+v", own)
		}
	})
}

// TestUnknownPartitionsAreRefused, and asked for again until they are there.
func TestUnknownPartitionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 2)
		stray := newFollowing(2, model.TopicID{77}, 3, &c.followers[0].numbers, window)
		stray.route = c.followers[0].receiver.Follow(stray)
		c.followers[0].follows = append(c.followers[0].follows, stray)
		c.start()
		defer c.close()
		time.Sleep(time.Second)
		if n := c.followers[0].numbers.Load(); n < 10 || n > 30 {
			t.Errorf("%d questions in a second, each after %v", n, retry)
		}
		if stray.streaming() {
			t.Error("a stream of nothing")
		}
		if !slices.ContainsFunc(c.followers[0].follows, func(f *following) bool { return f.streaming() }) {
			t.Error("nothing streams")
		}
	})
}
