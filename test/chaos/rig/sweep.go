package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Names begin so and go on with the process ID of the test that they belong to.
const (
	namespaces  = "chronik-chaos-"
	directories = "chronik-chaos-"
)

// sweep removes what tests left that were killed: their servers, mounts, namespaces and directories.
func sweep(t testing.TB) {
	t.Helper()
	for _, prefix := range stale(t) {
		t.Logf("sweeping up what %s* left", prefix)
		if err := errors.Join(removeNamespaces(prefix), removeDirectories(prefix)); err != nil {
			t.Errorf("sweeping up what %s* left: %v", prefix, err)
		}
	}
}

// stale lists the prefixes of tests that are no more.
func stale(t testing.TB) []string {
	t.Helper()
	list, err := run("ip", "netns", "list")
	if err != nil {
		t.Skipf("this machine has no network namespaces: %v", err)
	}
	names := strings.Fields(list)
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), directories+"*"))
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	var out []string
	seen := make(map[int]bool)
	for _, name := range names {
		rest, ours := strings.CutPrefix(name, namespaces)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if !ours || err != nil || seen[pid] || pid == os.Getpid() || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		seen[pid] = true
		out = append(out, fmt.Sprintf("%s%d-", namespaces, pid))
	}
	return out
}

// removeNamespaces ends the servers in the namespaces of a test and removes them; their links go with them.
func removeNamespaces(prefix string) error {
	list, err := run("ip", "netns", "list")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		pids, err := run("ip", "netns", "pids", name)
		errs = append(errs, err)
		for _, text := range strings.Fields(pids) {
			pid, err := strconv.Atoi(text)
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.HasPrefix(string(comm), "chronik") {
				errs = append(errs, syscall.Kill(pid, syscall.SIGKILL))
			}
		}
		_, err = run("ip", "netns", "del", name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeDirectories unmounts the disks of a test and removes its directories, its logs too.
func removeDirectories(prefix string) error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, unmountBelow(dir), os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}
