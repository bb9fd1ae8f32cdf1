package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a file system of its own in a file, mounted at dir.
type disk struct{ dir string }

// newDisk makes and mounts a file system of some MiB. It skips the test where the machine cannot.
func newDisk(t testing.TB, dir string, mib int) *disk {
	t.Helper()
	image := dir + ".img"
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(int64(mib)<<20), f.Close(), os.Mkdir(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := runAll("mkfs.ext4 -q -m 0 "+image, "mount -o loop "+image+" "+dir); err != nil {
		t.Skipf("this machine cannot mount a loop device: %v", err)
	}
	return &disk{dir: dir}
}

// freeze makes every write wait until thaw; reads go on.
func (d *disk) freeze() error {
	_, err := run("fsfreeze", "-f", d.dir)
	return err
}

func (d *disk) thaw() error {
	_, err := run("fsfreeze", "-u", d.dir)
	return err
}

// fill takes all space: in smaller and smaller pieces.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	for size := 1 << 20; size >= 1<<10 && err == nil; {
		_, err = f.Write(make([]byte, size))
		if errors.Is(err, syscall.ENOSPC) {
			size, err = size/4, nil
		}
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *disk) free() error { return os.Remove(d.ballast()) }

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// unmountBelow thaws and unmounts all file systems below a directory. A frozen one would keep its server from dying.
func unmountBelow(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[1], dir+string(filepath.Separator)) {
			continue
		}
		_, _ = run("fsfreeze", "-u", fields[1]) // fails if it is not frozen
		if _, err := run("umount", "-l", fields[1]); err != nil {
			errs = append(errs, fmt.Errorf("%w (mounted from %s)", err, fields[0]))
		}
	}
	return errors.Join(errs...)
}
