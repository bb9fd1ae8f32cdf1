package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"chronik/internal/bench/disk"
)

// harness owns the brokers of a comparison. All of its methods run on the main goroutine.
type harness struct {
	set     settings
	jars    string
	disk    disk.Info
	running map[setup]*contestant
}

const diskSamples = 500

func newHarness(ctx context.Context, s settings) (*harness, error) {
	if _, err := os.Stat("go.mod"); err != nil {
		return nil, errors.New("run it from the root of the repository: go run ./test/compare")
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	h := &harness{set: s, jars: s.jars, running: make(map[setup]*contestant)}
	var err error
	if h.disk, err = disk.Describe(s.dir, diskSamples); err != nil {
		return nil, fmt.Errorf("-dir: %w", err)
	}
	fmt.Fprintln(os.Stderr, h.disk)
	chosen, err := choose(s)
	if err != nil {
		return nil, err
	}
	if err := build(ctx, s, chosen); err != nil {
		return nil, err
	}
	if h.jars == "" && !s.short && s.only != "chronik" {
		h.jars = filepath.Join(".cache", "kafka-4.3.1")
		if err := fetchKafka(ctx, h.jars); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// tool is the path of one of our own binaries.
func (h *harness) tool(name string) string { return filepath.Join("bin", name) }

// up returns a contestant, started and warmed if it was not running.
func (h *harness) up(ctx context.Context, of setup) (*contestant, error) {
	if c := h.running[of]; c != nil {
		return c, c.ended()
	}
	c, err := h.prepare(ctx, of, of.directory())
	if err != nil {
		return nil, err
	}
	h.running[of] = c
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := c.ready(ctx, time.Minute); err != nil {
		return nil, err
	}
	if h.set.warm <= 0 || h.set.short {
		return c, nil
	}
	fmt.Fprintf(os.Stderr, "%s: warm load for %s\n", of, h.set.warm)
	_, err = h.drive(ctx, scenario{name: "warm", driver: franzGo, args: "--partitions " + strconv.Itoa(of.nodes())}, c, h.set.warm)
	return c, err
}

// only ends all contestants but these, and removes their data: nobody else shares the machine with a measurement.
func (h *harness) only(sides ...setup) error {
	var errs []error
	for of, c := range h.running {
		if !slices.Contains(sides, of) {
			delete(h.running, of)
			errs = append(errs, c.stop(), c.remove())
		}
	}
	return errors.Join(errs...)
}

// settle writes back what is dirty, so that the next run does not pay for the last one.
func settle() { unix.Sync() }

// close ends all contestants and removes their data. It runs also after an interrupt.
func (h *harness) close() error { return h.only() }

// pageOut drops what the page cache holds of a directory's files. They must be clean: settle first.
// It takes no privilege, unlike /proc/sys/vm/drop_caches, and leaves other programs' pages alone.
func pageOut(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // brokers delete files as they go
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
