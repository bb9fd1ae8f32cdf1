"""What the drivers written in Python share: flags, and the lines that the runner understands (see the Go package driver)."""

import argparse
import hashlib
import sys
import threading
import time
import traceback

import dataset

CHECK_LIMIT_S = 60


class Harness:
    def __init__(self):
        p = argparse.ArgumentParser()
        p.add_argument("--stage", default="own")
        p.add_argument("--bootstrap", required=True)
        p.add_argument("--client", default="python")
        p.add_argument("--records", type=int, default=10_000)
        p.add_argument("--topics", default="")
        p.add_argument("--data", default="")
        a = p.parse_args()
        self.stage, self.bootstrap, self.client, self.records = a.stage, a.bootstrap, a.client, a.records
        self.topics = [t for t in a.topics.split(",") if t]

    def topic(self, purpose):
        return f"feat-{self.client}-{purpose}"

    def group(self, purpose):
        return f"group-{self.client}-{purpose}"

    def dataset(self, codec, profile):
        return dataset.Dataset(dataset.name(self.client, codec, profile))

    def check(self, name, action):
        """Runs one check in a thread of its own, so that a client that hangs fails alone."""
        why = [f"no answer within {CHECK_LIMIT_S} s"]

        def body():
            try:
                action()
                why[0] = None
            except BaseException as e:
                traceback.print_exc()
                why[0] = f"{type(e).__name__}: {e}"

        start = time.monotonic()
        t = threading.Thread(target=body, daemon=True)
        t.start()
        t.join(CHECK_LIMIT_S)
        print(f"{name} took {time.monotonic() - start:.3f} s", file=sys.stderr)
        verdict = why[0]
        print(f"ok {name}" if verdict is None else "FAIL {}: {}".format(name, verdict.replace("\n", " | ")), flush=True)
        return verdict is None

    def main(self, own, read, failover=None):
        self.check("dataset", dataset.selftest)
        if self.stage == "cross":
            for topic in self.topics:
                self.check("cross-read/" + topic, lambda t=topic: read(dataset.Dataset(t), self.records))
        elif self.stage == "failover":
            self.check("group-failover", failover)
        else:
            own()
        print("done", flush=True)

    @staticmethod
    def kill_coordinator(group):
        """Has the runner kill the node that coordinates the group. What it returns waits until the node is started again."""

        def answer(expected):
            want("the runner's answer", sys.stdin.readline().strip(), expected)

        print("kill " + group, flush=True)
        answer("killed")
        return lambda: answer("back")

    @staticmethod
    def wrote(topic):
        print("wrote " + topic, flush=True)


def want(what, got, expected):
    if got != expected:
        raise AssertionError(f"{what} is {got!r}, want {expected!r}")


def soon(what, look, expected):
    """Repeats what looks at the effect of a change until it is there: Kafka's controller answers before its brokers know."""
    end = time.monotonic() + 10
    while True:
        try:
            return want(what, look(), expected)
        except Exception:
            if time.monotonic() > end:
                raise


def want_error(name, action):
    """Expects action to fail with the Kafka error of that name, however the client spells it."""
    try:
        got = action()
    except Exception as e:
        text = f"{type(e).__name__} {e!r} {e}"
        if name not in text:
            raise AssertionError(f"answered {text}, want {name}") from e
        return
    raise AssertionError(f"succeeded with {got!r}, want {name}")


def big(n):
    """n bytes that no codec makes small."""
    out, block = bytearray(), hashlib.sha256(b"big").digest()
    while len(out) < n:
        out += block
        block = hashlib.sha256(block).digest()
    return bytes(out[:n])


class Deadline:
    """Bounds a loop that waits for records."""

    def __init__(self, seconds=CHECK_LIMIT_S - 5):
        self.end = time.monotonic() + seconds

    def __call__(self, what):
        if time.monotonic() > self.end:
            raise AssertionError(f"{what} did not come in time")
