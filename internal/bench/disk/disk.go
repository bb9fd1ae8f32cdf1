// Package disk says what a data directory stands on: the file system, and what one durable append costs there.
//
// A benchmark of a broker that syncs means nothing on a file system in memory, so Describe refuses those.
// The package holds no state; its functions may be called from any goroutine.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMemory is returned for a directory on a file system that lives in memory.
var ErrMemory = errors.New("is in memory, where syncing costs nothing")

// Info describes the disk under a directory.
type Info struct {
	Dir          string        `json:"dir"`
	FileSystem   string        `json:"file_system"`
	FdatasyncP50 time.Duration `json:"fdatasync_p50_ns"` // of a 4 KiB append, growing the file
	FdatasyncP99 time.Duration `json:"fdatasync_p99_ns"`
}

// String is the line of a report.
func (i Info) String() string {
	return fmt.Sprintf("%s on %s, 4 KiB append + fdatasync p50 %s, p99 %s", i.Dir, i.FileSystem,
		i.FdatasyncP50.Round(time.Microsecond), i.FdatasyncP99.Round(time.Microsecond))
}

// names of the file systems that a data directory is likely to stand on.
var names = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.NFS_SUPER_MAGIC: "nfs", 0x2fc12fc1: "zfs",
}

// FileSystem names the file system under a directory.
func FileSystem(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	if name, ok := names[int64(st.Type)]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system 0x%x", st.Type), nil
}

// Describe measures the disk under a directory with samples appends, each followed by fdatasync. It
// leaves nothing behind. For tmpfs and ramfs the error is ErrMemory.
func Describe(dir string, samples int) (Info, error) {
	info := Info{Dir: dir}
	var err error
	if info.FileSystem, err = FileSystem(dir); err != nil {
		return info, err
	}
	if info.FileSystem == "tmpfs" || info.FileSystem == "ramfs" {
		return info, fmt.Errorf("%s is on %s, which %w: choose a directory on a real disk", dir, info.FileSystem, ErrMemory)
	}
	took, err := measure(dir, max(samples, 1))
	if err != nil {
		return info, fmt.Errorf("measure fdatasync in %s: %w", dir, err)
	}
	slices.Sort(took)
	info.FdatasyncP50, info.FdatasyncP99 = took[len(took)/2], took[len(took)*99/100]
	return info, nil
}

func measure(dir string, samples int) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fdatasync-probe-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(filepath.Clean(f.Name()))) }()
	page := make([]byte, 4096)
	for range samples {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}
