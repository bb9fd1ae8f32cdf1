package quorum

import (
	"errors"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/image"
	"chronik/internal/vfs/crashfs"
)

// TestVoteSurvivesAnyCrash: at each call of a write the power fails; term and vote are those of before or of after, and those of after
// once write has returned (M1).
func TestVoteSurvivesAnyCrash(t *testing.T) {
	for seed := range uint64(50) {
		f := crashfs.New(seed)
		if err := f.MkdirAll("d"); err != nil {
			t.Fatal(err)
		}
		s := voteState{term: 1, directory: image.UUID{7}, founder: true}
		file, err := createState(f, "d", s)
		if err != nil {
			t.Fatal(err)
		}
		for term := uint64(2); term < 12; term++ {
			next := voteState{term: term, vote: term * 7, commit: term * 100, directory: image.UUID{7}}
			check := func(disk *crashfs.FS, allowed ...voteState) {
				_, got, err := openState(disk, "d")
				for _, a := range allowed {
					if err == nil && got == a {
						return
					}
				}
				t.Fatalf("seed %d, term %d: %+v, %v; want one of %+v", seed, term, got, err, allowed)
			}
			f.OnOp(func(crashfs.Op) { check(f.CrashClone(crashfs.Random), s, next) })
			if err := file.write(next); err != nil {
				t.Fatal(err)
			}
			f.OnOp(nil)
			check(f.CrashClone(crashfs.Lose), next)
			s = next
		}
	}
}

// TestDamagedVoteIsRefused: one flipped bit, in either slot, might hide the newest vote.
func TestDamagedVoteIsRefused(t *testing.T) {
	for at := int64(0); at < 2*slotBytes; at += 37 {
		f := crashfs.New(1)
		if err := f.MkdirAll("d"); err != nil {
			t.Fatal(err)
		}
		file, err := createState(f, "d", voteState{term: 5, vote: 3})
		if err == nil {
			err = file.write(voteState{term: 6, vote: 4})
		}
		if err == nil {
			err = f.BitFlip("d/"+stateName, at, 3)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := openState(f, "d"); !errors.Is(err, ErrVoteState) || !strings.Contains(err.Error(), "join again") {
			t.Errorf("a flipped bit of byte %d: %+v, %v; want ErrVoteState", at, got, err)
		}
	}
}

// TestEntriesRoundTrip: each kind of entry comes back from its batch as it was.
func TestEntriesRoundTrip(t *testing.T) {
	for _, e := range []*pb.Entry{
		{Index: proto.Uint64(1), Term: proto.Uint64(1), Type: pb.EntryNormal.Enum(), Data: []byte("commands")},
		{Index: proto.Uint64(2), Term: proto.Uint64(9), Type: pb.EntryNormal.Enum()},
		{Index: proto.Uint64(3), Term: proto.Uint64(9), Type: pb.EntryConfChangeV2.Enum(), Data: []byte{1}},
		{Index: proto.Uint64(4), Term: proto.Uint64(9), Type: pb.EntryConfChangeV2.Enum()},
	} {
		b, err := encodeEntry(e, time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Check(); err != nil {
			t.Error(err)
		}
		got, err := decodeEntry(b)
		if err != nil || !proto.Equal(got, e) && (len(got.Data) > 0 || len(e.Data) > 0) {
			t.Errorf("%v became %v, %v", e, got, err)
		}
	}
	if _, err := encodeEntry(&pb.Entry{Type: pb.EntryConfChange.Enum()}, time.Unix(1, 0)); !errors.Is(err, ErrEntry) {
		t.Errorf("an old configuration change: %v", err)
	}
}

// TestSnapshotCarriesTheConfiguration, and a damaged one is not read.
func TestSnapshotCarriesTheConfiguration(t *testing.T) {
	list := []Replica{{1, image.UUID{1}}, {2, image.UUID{2}}}
	cs := &pb.ConfState{Voters: []uint64{list[0].id()}, Learners: []uint64{list[1].id()}}
	c := configuration{state: cs, replicas: replicas(nil).with(list, cs)}
	im, _, err := image.Apply(image.New("c"), nil, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := encodeSnapshot(im, c)
	if err != nil {
		t.Fatal(err)
	}
	back, got, err := decodeSnapshot("c", data)
	if err != nil || back.Index() != 1 || back.Term() != 3 || !proto.Equal(got.state, cs) || len(got.replicas) != 2 || got.replicas[list[1].id()] != list[1] {
		t.Fatalf("%+v, %v", got, err)
	}
	alone, err := image.EncodeSnapshot(im)
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := decodeSnapshot("c", alone); err != nil || got != nil {
		t.Errorf("a standalone snapshot: %+v, %v", got, err)
	}
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 4
		if _, _, err := decodeSnapshot("c", bad); err == nil {
			t.Errorf("a flipped bit of byte %d went unnoticed", i)
		}
		if _, got, err := decodeSnapshot("c", data[:i]); err == nil && (got != nil || i != len(alone)) {
			t.Errorf("the first %d bytes were read", i)
		}
	}
}
