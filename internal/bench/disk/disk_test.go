package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	info, err := Describe(dir, 3)
	if errors.Is(err, ErrMemory) {
		t.Skipf("the directory for temporary files is in memory: %v", err)
	}
	if err != nil || info.FdatasyncP50 <= 0 || info.FileSystem == "" {
		t.Errorf("%+v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestDescribeRefusesMemory(t *testing.T) {
	const dir = "/dev/shm"
	if name, err := FileSystem(dir); err != nil || name != "tmpfs" {
		t.Skipf("no tmpfs at %s on this machine: %s, %v", dir, name, err)
	}
	if _, err := Describe(dir, 1); !errors.Is(err, ErrMemory) {
		t.Errorf("tmpfs is accepted: %v", err)
	}
}

func TestDescribeMissingDirectory(t *testing.T) {
	if _, err := Describe(filepath.Join(t.TempDir(), "none"), 1); err == nil {
		t.Error("a missing directory has a disk")
	}
}
