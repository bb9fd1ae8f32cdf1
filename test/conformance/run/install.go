package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const installLimit = 8 * time.Minute // for one tool chain, on a slow line

// An installer brings the clients into the cache, each through the package client of its language. What is there already,
// for the same versions and sources, is not touched.
type installer struct {
	source, cache string
}

type step struct {
	name   string
	inputs []string // files and directories of source: when one changes, the step runs again
	run    func(context.Context) error
}

func (in *installer) path(p string) string { return filepath.Join(in.cache, p) }

func (in *installer) steps() []step {
	return []step{
		{"java", []string{"java"}, in.java},
		{"python", []string{"python/requirements.txt"}, in.python},
		{"go", []string{"go"}, in.golang},
		{"node", []string{"node"}, in.node},
		{"kcat", nil, in.kcat},
	}
}

// installAll runs the steps that the drivers need, two at a time, and returns the ones that failed.
func (in *installer) installAll(ctx context.Context, t *tally, drivers []driver, kafka bool) map[string]bool {
	need := map[string]bool{"java": kafka}
	for _, d := range drivers {
		for _, tool := range d.needs {
			need[tool] = true
		}
	}
	broken := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan struct{}, parallel)
	for _, s := range in.steps() {
		if !need[s.name] {
			continue
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			start := time.Now()
			if err := in.once(ctx, s); err != nil {
				t.fail("install/"+s.name, err.Error())
				mu.Lock()
				defer mu.Unlock()
				broken[s.name] = true
				return
			}
			t.say("%-20s %20.1f s", "install/"+s.name, time.Since(start).Seconds())
		})
	}
	wg.Wait()
	return broken
}

// once runs the step unless its stamp says that the same inputs were installed before.
func (in *installer) once(ctx context.Context, s step) error {
	sum, err := in.digest(s.inputs)
	if err != nil {
		return err
	}
	stamp := in.path(s.name + ".stamp")
	if old, err := os.ReadFile(stamp); err == nil && string(old) == sum && s.inputs != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	if err := s.run(ctx); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(sum), 0o644)
}

func (in *installer) digest(inputs []string) (string, error) {
	sum := sha256.New()
	for _, input := range inputs {
		err := filepath.WalkDir(filepath.Join(in.source, input), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(sum, "%s %d\n", path, len(content))
			sum.Write(content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// command runs one program; its whole output is in the error if it fails.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "GOWORK=off")
	inOwnGroup(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tail := bytes.TrimSpace(out)
		tail = tail[max(0, len(tail)-1500):]
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.ReplaceAll(string(tail), "\n", " | "))
	}
	return nil
}

// java copies Kafka's jars and compiles the driver and the applications.
func (in *installer) java(ctx context.Context) error {
	build := in.path("java/build")
	if err := os.RemoveAll(in.path("java")); err != nil {
		return err
	}
	return command(ctx, filepath.Join(in.source, "java"), "mvn", "-q", "-B", "-Dconformance.build="+build,
		"-Dconformance.classes="+in.path("java/classes"), "-Dconformance.lib="+in.path("java/lib"), "-Dconformance.logging="+in.path("java/logging"), "compile")
}

func (in *installer) python(ctx context.Context) error {
	if err := command(ctx, in.cache, "python3", "-m", "venv", "--clear", "venv"); err != nil {
		return err
	}
	return command(ctx, in.cache, in.path("venv/bin/pip"), "install", "-q", "--disable-pip-version-check",
		"-r", filepath.Join(in.source, "python/requirements.txt"))
}

func (in *installer) golang(ctx context.Context) error {
	if err := command(ctx, filepath.Join(in.source, "go"), "go", "test", "./dataset"); err != nil {
		return err
	}
	return command(ctx, filepath.Join(in.source, "go"), "go", "build", "-o", in.path("bin")+"/", "./...")
}

// node copies the driver into the cache, because node looks for modules beside the script.
func (in *installer) node(ctx context.Context) error {
	dir := in.path("node")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(in.source, "node"))); err != nil {
		return err
	}
	return command(ctx, dir, "npm", "ci", "--silent", "--no-fund", "--no-audit", "--ignore-scripts")
}

func (in *installer) kcat(ctx context.Context) error {
	if _, err := exec.LookPath("kcat"); err == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("kcat is missing and only root can install it: sudo apt-get install kcat")
	}
	if err := command(ctx, in.cache, "apt-get", "update", "-q"); err != nil {
		return err
	}
	return command(ctx, in.cache, "apt-get", "install", "-y", "-q", "--no-install-recommends", "kcat")
}
