package sharesession

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chronik/internal/model"
)

func part0(n int32) Partition { return Partition{model.TopicID{1}, n} }

func parts(ns ...int32) (out []Partition) {
	for _, n := range ns {
		out = append(out, part0(n))
	}
	return out
}

var me = Key{"g", "m"}

func begin(t *testing.T, c *Cache, r Request) *Fetch {
	t.Helper()
	f, err := c.Fetch(r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return f
}

func TestAnAnswerNamesWhatIsNew(t *testing.T) {
	c := NewCache(func() int { return 1 })
	f := begin(t, c, Request{Key: me, Add: parts(0, 1, 2)})
	for _, p := range f.Partitions {
		if !f.Include(p, false, false) {
			t.Errorf("the first answer leaves out %v", p)
		}
	}
	f = begin(t, c, Request{Key: me, Epoch: 1, Add: parts(3, 1), Forget: parts(2)})
	if !slices.Equal(f.Partitions, parts(0, 1, 3)) {
		t.Fatalf("%v are served", f.Partitions)
	}
	for i, want := range []bool{true, true, true} { // records, an error, new
		if p := f.Partitions[i]; f.Include(p, i == 0, i == 1) != want {
			t.Errorf("%v is left out", p)
		}
	}
	f = begin(t, c, Request{Key: me, Epoch: 2})
	if !slices.Equal(f.Partitions, parts(1, 3, 0)) {
		t.Errorf("%v are served: what was served is not last", f.Partitions)
	}
	for i, want := range []bool{true, false, false} { // the error is over
		if p := f.Partitions[i]; f.Include(p, false, false) != want {
			t.Errorf("%v is named: %v", p, !want)
		}
	}
	if f = begin(t, c, Request{Key: me, Epoch: 3}); f.Include(part0(1), false, false) {
		t.Error("the error's end is told twice")
	}
}

func TestRefusals(t *testing.T) {
	c := NewCache(func() int { return 1 })
	begin(t, c, Request{Key: me, Add: parts(0)})
	for _, x := range []struct {
		r    Request
		want error
	}{
		{Request{Key: me, Epoch: 2}, ErrEpoch},
		{Request{Key: me, Epoch: 0, Acknowledges: true}, ErrInvalidRequest},
		{Request{Key: Key{"g", "n"}, Epoch: 1}, ErrNotFound},
		{Request{Key: Key{"g", "n"}, Epoch: -1}, ErrNotFound},
		{Request{Key: Key{"g", "n"}, Epoch: 0}, ErrLimit},
	} {
		if _, err := c.Fetch(x.r); !errors.Is(err, x.want) {
			t.Errorf("%+v: %v, want %v", x.r, err, x.want)
		}
	}
	for epoch, want := range map[int32]error{0: ErrEpoch, 2: ErrEpoch, -1: nil} {
		if _, err := c.Acknowledge(me, epoch); !errors.Is(err, want) {
			t.Errorf("epoch %d: %v, want %v", epoch, err, want)
		}
	}
	if _, err := c.Acknowledge(Key{"h", "m"}, 1); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	begin(t, c, Request{Key: me}) // in place of its own
}

func TestTheLastRequest(t *testing.T) {
	c := NewCache(func() int { return 2 })
	begin(t, c, Request{Key: me, Add: parts(0, 1)})
	begin(t, c, Request{Key: Key{"g", "n"}})
	if last, err := c.Acknowledge(me, 1); last || err != nil {
		t.Error(last, err)
	}
	if f := begin(t, c, Request{Key: me, Epoch: -1, Acknowledges: true}); !f.Final || len(f.Partitions) > 0 || f.Current() != nil {
		t.Errorf("%+v", f)
	}
	if last, err := c.Acknowledge(me, -1); !last || err != nil {
		t.Error(last, err)
	}
	r, ok := c.Release(me)
	if !ok || !slices.Equal(r.Partitions, parts(0, 1)) || r.LastOf {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := c.Release(me); ok {
		t.Error("it ends twice")
	}
	if r, _ := c.Release(Key{"g", "n"}); !r.LastOf {
		t.Errorf("%+v was the group's last", r)
	}
}

func TestConnections(t *testing.T) {
	c := NewCache(func() int { return 10 })
	begin(t, c, Request{Key: Key{"g", "b"}, Connection: 1, Add: parts(1)})
	begin(t, c, Request{Key: Key{"g", "a"}, Connection: 1})
	begin(t, c, Request{Key: me, Connection: 1})
	old := begin(t, c, Request{Key: me, Connection: 2})
	out := c.Disconnect(1) // me goes on over connection 2
	if len(out) != 2 || out[0].Key.Member != "a" || out[1].Key.Member != "b" || out[1].LastOf {
		t.Errorf("%+v", out)
	}
	if len(c.Disconnect(1)) != 0 || c.Len() != 1 || old.Current() != nil {
		t.Errorf("%d sessions are left", c.Len())
	}
	begin(t, c, Request{Key: me, Connection: 2, Epoch: 1})
	if !errors.Is(old.Current(), ErrEpoch) {
		t.Error("an answer that another request has overtaken")
	}
	if out := c.Disconnect(2); len(out) != 1 || !out[0].LastOf {
		t.Errorf("%+v", out)
	}
}

func TestEpochsWrap(t *testing.T) {
	c := NewCache(func() int { return 1 })
	begin(t, c, Request{Key: me})
	c.sessions[me].epoch = math.MaxInt32
	begin(t, c, Request{Key: me, Epoch: math.MaxInt32})
	begin(t, c, Request{Key: me, Epoch: 1})
}

// TestModel: sessions, by member, by connection and by group, say the same; an epoch is used once.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 4).Draw(t, "most")
		c := NewCache(func() int { return most })
		epochs, conns := make(map[Key]int32), make(map[Key]Connection)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			k := Key{rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "member")}
			conn := Connection(rapid.IntRange(0, 2).Draw(t, "connection"))
			epoch := rapid.Int32Range(-1, 4).Draw(t, "epoch")
			want, ok := epochs[k]
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				for _, r := range c.Disconnect(conn) {
					if conns[r.Key] != conn {
						t.Fatalf("%v ends with connection %d, it is on %d", r.Key, conn, conns[r.Key])
					}
					delete(epochs, r.Key)
				}
			case 1:
				if _, released := c.Release(k); released != ok {
					t.Fatalf("%v is released: %v", k, released)
				}
				delete(epochs, k)
			case 2:
				_, err := c.Acknowledge(k, epoch)
				if (err == nil) != (ok && (epoch == -1 || epoch == want && epoch > 0)) {
					t.Fatalf("%v acknowledges in epoch %d of %d: %v", k, epoch, want, err)
				}
				if err == nil && epoch > 0 {
					epochs[k]++
				}
			default:
				_, err := c.Fetch(Request{Key: k, Epoch: epoch, Connection: conn})
				room := ok || len(epochs) < most
				if (err == nil) != (epoch == 0 && room || ok && (epoch == -1 || epoch == want)) {
					t.Fatalf("%v fetches in epoch %d of %d: %v", k, epoch, want, err)
				}
				if epoch == 0 {
					delete(epochs, k)
				}
				if err == nil && epoch >= 0 {
					if epochs[k] = epoch + 1; epoch == 0 {
						conns[k] = conn
					}
				}
			}
			if c.Len() != len(epochs) || c.Len() > most {
				t.Fatalf("%d sessions, want %d", c.Len(), len(epochs))
			}
		}
		for conn := range Connection(3) {
			c.Disconnect(conn)
		}
		if c.Len()+len(c.by)+len(c.members) != 0 {
			t.Fatalf("%v %v %v are left", c.sessions, c.by, c.members)
		}
	})
}
