package vfs_test

import (
	"errors"
	"syscall"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

const mark = "/d/mark"

func marked(fsys vfs.FS) bool {
	_, err := fsys.Stat(mark)
	return err == nil
}

// TestMarkAfterAKill: a process is killed between the change and its sync. Whoever does it again finds it done, and makes it durable.
func TestMarkAfterAKill(t *testing.T) {
	disk := crashfs.New(1)
	must(t, disk.MkdirAll("/d"))
	f, err := disk.Create(mark)
	must(t, errors.Join(err, f.Close()))
	must(t, vfs.PutMark(disk, mark))
	disk = disk.Crash(crashfs.Lose)
	if !marked(disk) {
		t.Fatal("the power took the mark (D6)")
	}
	must(t, disk.Remove(mark))
	was, err := vfs.TakeMark(disk, mark)
	must(t, err)
	if was {
		t.Error("a mark was found that was taken before")
	}
	if marked(disk.Crash(crashfs.Lose)) {
		t.Error("the mark is back (D6)")
	}
}

func TestMarkIsPutAndTaken(t *testing.T) {
	disk := crashfs.New(1)
	if was, err := vfs.TakeMark(disk, mark); was || err != nil {
		t.Errorf("in no directory: %v, %v", was, err)
	}
	if err := vfs.PutMark(disk, mark); err == nil {
		t.Error("a mark was put into no directory")
	}
	must(t, disk.MkdirAll("/d"))
	must(t, vfs.PutMark(disk, mark))
	if !marked(disk.CrashClone(crashfs.Lose)) {
		t.Error("the power took the mark (D6)")
	}
	if was, err := vfs.TakeMark(disk, mark); !was || err != nil {
		t.Errorf("the mark was put: %v, %v", was, err)
	}
	if marked(disk.Crash(crashfs.Lose)) {
		t.Error("the mark is back (D6)")
	}
}

// TestMarkOnAFailingDisk: whatever fails is told.
func TestMarkOnAFailingDisk(t *testing.T) {
	for op, put := range map[faultfs.Op]bool{faultfs.OpCreate: true, faultfs.OpClose: true, faultfs.OpRemove: false, faultfs.OpSyncDir: false} {
		inner := crashfs.New(1)
		must(t, inner.MkdirAll("/d"))
		disk := faultfs.New(inner)
		if !put {
			must(t, vfs.PutMark(disk, mark))
		}
		disk.Inject(faultfs.Rule{Ops: op, Err: syscall.EIO})
		if was, err := vfs.TakeMark(disk, mark); !put && (was || !errors.Is(err, syscall.EIO)) {
			t.Errorf("taking, call %b failed: %v, %v (D4)", op, was, err)
		}
		if err := vfs.PutMark(disk, mark); op != faultfs.OpRemove && !errors.Is(err, syscall.EIO) {
			t.Errorf("putting, call %b failed: %v (D4)", op, err)
		}
	}
}
