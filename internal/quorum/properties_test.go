package quorum

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
	"testing"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

func fresh(n byte) func() Identity {
	return func() Identity { return Identity{ClusterID: "cluster", NodeID: 1, Directory: image.UUID{n}} }
}

func identity(t *testing.T, f vfs.FS, n byte) Identity {
	t.Helper()
	id, err := OpenIdentity(f, "data", 1, fresh(n))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newDir(t *testing.T, seed uint64) *crashfs.FS {
	t.Helper()
	f := crashfs.New(seed)
	if err := f.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestIdentityIsKept(t *testing.T) {
	f := newDir(t, 1)
	first := identity(t, f, 7)
	if second := identity(t, f, 8); second != first || first.Directory != (image.UUID{7}) {
		t.Errorf("first %+v, then %+v", first, second)
	}
	if after := identity(t, f.CrashClone(crashfs.Lose), 9); after != first {
		t.Errorf("after a power loss %+v, want %+v", after, first)
	}
}

// Before any call that makes the file, a power loss leaves none of it or all of it.
func TestIdentityIsAllOrNothing(t *testing.T) {
	for seed := range uint64(50) {
		inner := newDir(t, seed)
		f := faultfs.New(inner)
		var disks []*crashfs.FS
		f.Inject(faultfs.Rule{Ops: faultfs.OpAny, Before: func(faultfs.Call) {
			disks = append(disks, inner.CrashClone(crashfs.Random))
		}})
		first := identity(t, f, 7)
		for _, d := range disks {
			if id := identity(t, d, 8); id != first && id.Directory != (image.UUID{8}) {
				t.Fatalf("seed %d: %+v", seed, id)
			}
		}
	}
}

func TestIdentityFailsWithTheDisk(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpSync, faultfs.OpSyncDir, faultfs.OpRename, faultfs.OpWrite} {
		f := faultfs.New(newDir(t, 1))
		f.Inject(faultfs.Rule{Ops: op, Err: syscall.EIO})
		if _, err := OpenIdentity(f, "data", 1, fresh(7)); !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %b: %v", op, err)
		}
	}
}

func TestWrongDirectoriesAreRefusedWithAdvice(t *testing.T) {
	rewrite := func(f *crashfs.FS, from, to string) {
		data, err := vfs.ReadFile(f, "data/"+PropertiesName)
		if err != nil {
			t.Fatal(err)
		}
		body, _, _ := strings.Cut(strings.Replace(string(data), from, to, 1), "crc32c=")
		signed := fmt.Appendf(nil, "%scrc32c=%08x\n", body, checksum(body))
		if err := vfs.ReplaceFile(f, path.Join("data", PropertiesName), signed); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		node   model.BrokerID
		harm   func(*crashfs.FS)
		want   error
		advice string
	}{
		"other node":  {2, func(*crashfs.FS) {}, ErrOtherNode, "--node-id 1"},
		"flipped bit": {1, func(f *crashfs.FS) { _ = f.BitFlip("data/"+PropertiesName, 12, 1) }, ErrProperties, "restore it from a backup"},
		"version":     {1, func(f *crashfs.FS) { rewrite(f, "version=1", "version=2") }, ErrProperties, "its version is \"2\""},
		"no cluster":  {1, func(f *crashfs.FS) { rewrite(f, "cluster.id=cluster\n", "") }, ErrProperties, "missing"},
		"bad ID":      {1, func(f *crashfs.FS) { rewrite(f, "directory.id=B", "directory.id=") }, ErrProperties, "directory.id"},
		"gone, with data": {1, func(f *crashfs.FS) {
			_ = f.Remove("data/" + PropertiesName)
			_ = f.MkdirAll("data/wal")
		}, ErrProperties, "is missing, but there is data"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newDir(t, 1)
			identity(t, f, 7)
			c.harm(f)
			_, err := OpenIdentity(f, "data", c.node, fresh(8))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.advice) {
				t.Errorf("error %v; want %v and %q", err, c.want, c.advice)
			}
		})
	}
}
