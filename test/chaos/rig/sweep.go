package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ours begins the names of namespaces and directories; the process ID of the test that they belong to follows.
const ours = "chronik-chaos-"

func prefixOf(pid int) string { return fmt.Sprintf("%s%d-", ours, pid) }

// sweep removes what tests left that were killed: their servers, mounts, namespaces and directories.
func sweep(t testing.TB) {
	t.Helper()
	for _, pid := range stale(t) {
		t.Logf("sweeping up what process %d left", pid)
		// What is gone already, or will go with its namespace, is no error.
		_, _ = run("ip", "link", "del", outside(pid))
		prefix := prefixOf(pid)
		if err := errors.Join(removeNamespaces(prefix), removeDirectories(prefix)); err != nil {
			t.Errorf("sweeping up: %v", err)
		}
	}
}

// stale lists the processes of tests that left something and are no more.
func stale(t testing.TB) []int {
	t.Helper()
	list, err := run("ip", "netns", "list")
	if err != nil {
		t.Skipf("this machine has no network namespaces: %v", err)
	}
	names := strings.Fields(list)
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), ours+"*"))
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	var out []int
	for _, name := range names {
		rest, is := strings.CutPrefix(name, ours)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if !is || err != nil || slices.Contains(out, pid) || pid == os.Getpid() || alive(pid) {
			continue
		}
		out = append(out, pid)
	}
	return out
}

// alive tells whether there is a process; one that has ended and was not waited for has no program any more.
func alive(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil
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
