package node

import (
	"slices"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/quorum"
)

// TestWhereANodeIs: what it says itself counts more than an older registration, and never what somebody else with its ID says while it is in service.
func TestWhereANodeIs(t *testing.T) {
	im := image.New("c")
	register := func(port uint32) {
		t.Helper()
		next, _, err := image.Apply(im, []*command.Command{command.Add(&command.AddNode{NodeId: 2, IncarnationId: make([]byte, 16), DirectoryId: append(make([]byte, 15), 2),
			Endpoints: []*command.Endpoint{{Listener: controlListener, Host: "two", Port: port, SecurityProtocol: brokerProtocol}}})}, 1, im.Index()+1)
		if err != nil {
			t.Fatal(err)
		}
		im = next
	}
	a := newAddresses([]config.Peer{{ID: 2, Addr: "given:1"}})
	own, other := quorum.Replica{Node: 2, Directory: image.UUID{15: 2}}, quorum.Replica{Node: 2, Directory: image.UUID{15: 9}}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("before there are metadata", a.control(2), "given:1")
	a.learn(own, "said:1")
	check("when it has asked to be taken in", a.of(own), "said:1", "given:1")
	a.follow(func() *image.Image { return im })
	register(1)
	check("when it has registered since", a.control(2), "two:1", "said:1", "given:1")
	a.learn(own, "said:2")
	check("when it is back elsewhere", a.of(own), "said:2", "two:1", "given:1")
	register(2)
	check("when it has registered there", a.of(own), "two:2", "said:2", "given:1")
	a.learn(other, "impostor:1")
	check("when another process has its ID", a.control(2), "two:2", "said:2", "given:1")
	check("its replica is another one", a.of(other), "impostor:1", "two:2", "given:1")
	next, _, err := image.Apply(im, []*command.Command{command.Fence(2, im.Node(2).Epoch, true)}, 1, im.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	im = next
	check("when it is out of service", a.control(2), "impostor:1", "two:2", "said:2", "given:1")
	check("nobody", a.control(7))
}
