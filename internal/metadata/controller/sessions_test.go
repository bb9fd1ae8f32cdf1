package controller

import (
	"slices"
	"testing"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// inService is an image in which these nodes are registered and not fenced.
func inService(t *testing.T, ids ...int32) *image.Image {
	t.Helper()
	im := image.New("cluster")
	for _, id := range ids {
		im = applied(t, im, command.Add(&command.AddNode{NodeId: id, IncarnationId: make([]byte, 16), DirectoryId: append(make([]byte, 15), byte(id)),
			Endpoints: []*command.Endpoint{{Listener: "L", Host: "h", Port: 1, SecurityProtocol: "PLAINTEXT"}}}))
	}
	return im
}

func applied(t *testing.T, im *image.Image, c *command.Command) *image.Image {
	t.Helper()
	next, _, err := image.Apply(im, []*command.Command{c}, 1, im.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// TestASessionGoesOnUnderTheNextController: what is known of the controller before counts, so that its partitions do not wait for an election and a whole
// session; whatever is known, a node has a moment to be heard (R8).
func TestASessionGoesOnUnderTheNextController(t *testing.T) {
	for _, tc := range []struct {
		name    string
		silence time.Duration
		ends    time.Duration // the first tick at which it is over
	}{
		{"it handed over", 0, testSession + testTick},
		{"it was heard a moment ago", 150 * time.Millisecond, testSession - 150*time.Millisecond + testTick},
		{"it was missed for an election", 550 * time.Millisecond, graceTicks*testTick + testTick},
		{"it was missed for several", 5 * time.Second, graceTicks*testTick + testTick},
		{"nonsense", -time.Second, testSession + testTick},
	} {
		im, s, now := inService(t, 1, 2), NewSessions(testSession, testTick), time.Unix(1_000_000, 0)
		s.Unheard(1, im.Node(1).Epoch, tc.silence)
		if s.Live(1, now) {
			t.Errorf("%s: it counts as heard", tc.name)
		}
		ended := map[model.BrokerID]time.Duration{}
		for at := time.Duration(0); at <= 2*testSession; at += testTick {
			for _, id := range s.Expired(im, now.Add(at)) {
				if _, known := ended[id]; !known {
					ended[id] = at
				}
			}
		}
		if ended[1] != tc.ends || ended[2] != testSession+testTick {
			t.Errorf("%s: its session ended after %v, want %v; that of another node after %v", tc.name, ended[1], tc.ends, ended[2])
		}
	}
}

// TestASilentControllerThatComesBackIsNotFenced: a heartbeat within the moment that it has gives it a whole session, and a new registration too.
func TestASilentControllerThatComesBackIsNotFenced(t *testing.T) {
	for name, back := range map[string]func(s *Sessions, im *image.Image, now time.Time) *image.Image{
		"by a heartbeat": func(s *Sessions, im *image.Image, now time.Time) *image.Image {
			s.Touch(1, im.Node(1).Epoch, now)
			return im
		},
		"as another incarnation": func(_ *Sessions, im *image.Image, _ time.Time) *image.Image {
			return applied(t, im, command.Add(&command.AddNode{NodeId: 1, IncarnationId: append(make([]byte, 15), 9), DirectoryId: append(make([]byte, 15), 1),
				Endpoints: []*command.Endpoint{{Listener: "L", Host: "h", Port: 1, SecurityProtocol: "PLAINTEXT"}}}))
		},
	} {
		im, s, now := inService(t, 1, 2), NewSessions(testSession, testTick), time.Unix(1_000_000, 0)
		s.Unheard(1, im.Node(1).Epoch, time.Second)
		s.Expired(im, now)
		now = now.Add(graceTicks * testTick)
		if gone := s.Expired(im, now); len(gone) > 0 {
			t.Errorf("%s: %v are fenced before the moment is over", name, gone)
		}
		im = back(s, im, now)
		for range testSession / testTick {
			now = now.Add(testTick)
			if slices.Contains(s.Expired(im, now), 1) {
				t.Errorf("%s: it is fenced within a session", name)
				break
			}
		}
	}
}

// TestAStallShortensNobodysMoment: time in which the new controller itself stands still is not silence of others (R8), and what is known already is not
// made worse by what was known before.
func TestAStallShortensNobodysMoment(t *testing.T) {
	im, s, now := inService(t, 1, 2), NewSessions(testSession, testTick), time.Unix(1_000_000, 0)
	s.Unheard(1, im.Node(1).Epoch, time.Second)
	s.Expired(im, now)
	now = now.Add(10 * time.Second)
	if gone := s.Expired(im, now); len(gone) > 0 {
		t.Errorf("after a stall of the controller %v are fenced", gone)
	}
	s.Touch(1, im.Node(1).Epoch, now)
	s.Unheard(1, im.Node(1).Epoch, time.Second)
	if !s.Live(1, now) {
		t.Error("a node that was heard is not live")
	}
	short := NewSessions(testTick, testTick) // less than the moment
	short.Unheard(1, im.Node(1).Epoch, time.Second)
	if gone := short.Expired(im, now); len(gone) > 0 {
		t.Errorf("with a session of a tick %v are fenced at once", gone)
	}
}
