package exactlyonce

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chronik/test/exactlyonce/loop"
)

// installed is where `make conformance` brings the clients of other languages.
const installed = "../../.cache/conformance"

// prepare returns how processors of a client are started.
func prepare(ctx context.Context, t *testing.T, client, dir string) func(loop.Job) *exec.Cmd {
	t.Helper()
	switch client {
	case "franz-go":
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return func(j loop.Job) *exec.Cmd {
			cmd := exec.Command(self, j.Args()...)
			cmd.Env = append(os.Environ(), asProcessor+"=1")
			return cmd
		}
	case "java":
		return prepareJava(ctx, t, dir)
	case "librdkafka":
		return preparePython(ctx, t)
	}
	t.Fatalf("-exactlyonce.client=%s is none of franz-go, java, librdkafka", client)
	return nil
}

// prepareJava compiles the processor; the jars come from the Maven project of the conformance tests.
func prepareJava(ctx context.Context, t *testing.T, dir string) func(loop.Job) *exec.Cmd {
	t.Helper()
	lib := absolute(t, filepath.Join(installed, "java/lib"))
	if jars, _ := filepath.Glob(filepath.Join(lib, "kafka-clients-*.jar")); len(jars) == 0 {
		run(ctx, t, "mvn", "-q", "-B", "-f", "../conformance/java", "-Dconformance.build="+filepath.Join(dir, "maven"), "-Dconformance.lib="+lib, "compile")
	}
	classes := filepath.Join(dir, "classes")
	run(ctx, t, "javac", "-cp", filepath.Join(lib, "*"), "-d", classes, "java/Processor.java")
	classpath := classes + string(os.PathListSeparator) + filepath.Join(lib, "*")
	return func(j loop.Job) *exec.Cmd {
		return exec.Command("java", append([]string{"-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classpath, "Processor"}, j.Args()...)...)
	}
}

// preparePython uses the conformance tests' virtual environment, or makes it.
func preparePython(ctx context.Context, t *testing.T) func(loop.Job) *exec.Cmd {
	t.Helper()
	venv := absolute(t, filepath.Join(installed, "venv"))
	python := filepath.Join(venv, "bin/python")
	if exec.CommandContext(ctx, python, "-c", "import confluent_kafka").Run() != nil {
		run(ctx, t, "python3", "-m", "venv", "--clear", venv)
		run(ctx, t, python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", "../conformance/python/requirements.txt")
	}
	script := absolute(t, "python/processor.py")
	return func(j loop.Job) *exec.Cmd {
		return exec.Command(python, append([]string{"-u", script}, j.Args()...)...)
	}
}

func run(ctx context.Context, t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s", name, err, out))
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	out, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
