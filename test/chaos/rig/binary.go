package rig

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var given = flag.String("chaos.bin", "", "the server to test, instead of one built from this tree")

// binDir is where servers are built; it lives as long as the test's process, and is swept up like the rest.
var binDir = sync.OnceValues(func() (string, error) {
	return os.MkdirTemp("", prefixOf(os.Getpid())+"bin-")
})

// RemoveBinaries takes away what was built. It is for the end of the test's process.
func RemoveBinaries() {
	if dir, err := binDir(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// Build makes the server from this tree, once.
var Build = sync.OnceValues(func() (string, error) {
	if *given != "" {
		return filepath.Abs(*given)
	}
	dir, err := binDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "chronik-server")
	if out, err := exec.Command("go", "build", "-o", bin, "chronik/cmd/chronik-server").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// commitsBack is which commit is the older version as long as there is no release.
const commitsBack = "HEAD~20"

// BuildAt makes the server as it was at a commit or tag; of an empty ref, at the last release. It skips the test where git does not know that one: an archive, a shallow clone.
func BuildAt(t testing.TB, ref string) string {
	t.Helper()
	dir, err := binDir()
	if err != nil {
		t.Fatal(err)
	}
	top, err := run("git", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Skipf("an older version cannot be had: %v", err)
	}
	if ref == "" {
		if ref, err = run("git", "describe", "--tags", "--abbrev=0", "HEAD^"); err != nil {
			ref = commitsBack
		}
		ref = strings.TrimSpace(ref)
	}
	commit, err := run("git", "rev-parse", "--short", ref+"^{commit}")
	if err != nil {
		t.Skipf("version %s cannot be had: %v", ref, err)
	}
	commit = strings.TrimSpace(commit)
	t.Logf("the older version is %s (%s)", ref, commit)
	tree, bin := filepath.Join(dir, commit), filepath.Join(dir, "chronik-server-"+commit)
	tar := tree + ".tar"
	_, err = run("git", "-C", strings.TrimSpace(top), "archive", "-o", tar, commit)
	if err = errors.Join(err, os.MkdirAll(tree, 0o755)); err == nil {
		_, err = run("tar", "-xf", tar, "-C", tree)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/chronik-server")
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", commit, err, out)
	}
	return bin
}
