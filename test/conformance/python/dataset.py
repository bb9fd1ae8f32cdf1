"""The records that every driver produces and verifies: see DATASET.md. The Go package dataset is the same."""

from hashlib import sha256
from typing import NamedTuple, Optional

FINGERPRINTS = {
    "conf-x-none-3kevhdnt": "58bbc68502ee1ca8c64b10498994dd362f08873c6e3cff286c1e7b33ece2a7c5",
    "conf-x-none-1kvha": "b578a2d036377f8c20683917180f9d2f9d9de8703220a8c02305f886f804a5b1",
}


class Record(NamedTuple):
    """One record as it must come back; None is null."""

    partition: int
    offset: int
    timestamp: int
    key: Optional[bytes]
    value: Optional[bytes]
    headers: list


def timestamp(i):
    return 1_700_000_000_000 + 1000 * i + (50_000 if i % 97 == 13 else 0)


def name(client, codec, profile):
    return f"conf-{client}-{codec}-{profile}"


class Dataset:
    """A topic whose name says what is in it."""

    def __init__(self, topic):
        profile = topic.rsplit("-", 1)[1]
        if not topic.startswith("conf-") or not "1" <= profile[0] <= "9":
            raise ValueError(f"{topic} is not conf-CLIENT-CODEC-PROFILE")
        self.name, self.partitions, self.profile = topic, int(profile[0]), set(profile[1:])

    def count(self, partition, n):
        return (n - partition + self.partitions - 1) // self.partitions

    def at(self, partition, offset):
        return self.record(offset * self.partitions + partition)

    def record(self, i):
        h = sha256(b"%s:%d" % (self.name.encode(), i)).digest()
        if i % 7 == 3 and "k" in self.profile:
            key = None
        elif i % 7 == 5 and "e" in self.profile:
            key = b""
        else:
            key = self._text(h[: 1 + h[0] % 16])
        if i % 11 == 4 and "v" in self.profile:
            value = None
        elif i % 11 == 6 and "e" in self.profile:
            value = b""
        else:
            size = 1 + (256 * h[1] + h[2]) % 500
            whole = b"".join(
                (int.from_bytes(h, "big") ^ int.from_bytes(bytes([block]) * 32, "big")).to_bytes(32, "big")
                for block in range((size + 31) // 32)
            )
            value = self._text(whole[:size])
        headers = [self._header(h, n) for n in range(h[3] % 4)] if "h" in self.profile else []
        return Record(i % self.partitions, i // self.partitions, timestamp(i), key, value, headers)

    def _header(self, h, n):
        key = "h0" if "d" in self.profile and h[4] % 5 == 0 else f"h{n}"
        kind = h[5 + n] % 5
        if kind == 0 and "n" in self.profile:
            return key, None
        if kind < 2:
            return key, b"00" if "a" in self.profile else b""
        return key, self._text(h[8 : 8 + 4 * (n + 1)])

    def _text(self, b):
        return b.hex().encode() if "a" in self.profile else b

    def first_at_or_after(self, partition, ms, n):
        return next((i // self.partitions for i in range(partition, n, self.partitions) if timestamp(i) >= ms), -1)

    def max_timestamp_offset(self, partition, n):
        best = max(range(partition, n, self.partitions), key=lambda i: (timestamp(i), -i))
        return best // self.partitions

    def diff(self, got, null_is_empty=False):
        """How got differs from the record that must be at its place, or None. null_is_empty is for a client that shows both alike."""
        want = self.at(got.partition, got.offset)
        if "t" not in self.profile:
            want = want._replace(timestamp=got.timestamp)
        if null_is_empty:
            want = want._replace(headers=[(k, v or b"") for k, v in want.headers])
        if got == want:
            return None
        field = next(f for f in Record._fields if getattr(got, f) != getattr(want, f))
        return f"partition {got.partition} offset {got.offset}: {field} {getattr(got, field)!r}, want {getattr(want, field)!r}"

    def fingerprint(self):
        total = sha256()
        for r in map(self.record, range(1000)):
            headers = ",".join(f"{k}={_hex(v)}" for k, v in r.headers)
            total.update(f"{r.partition} {r.offset} {r.timestamp} {_hex(r.key)} {_hex(r.value)} {headers}\n".encode())
        return total.hexdigest()


class Verifier:
    """Takes a topic's records as a client reads them; finds the first that is missing, repeated, out of order or different."""

    def __init__(self, dataset, n, null_is_empty=False):
        self.dataset, self.n, self.null_is_empty = dataset, n, null_is_empty
        self.next = [0] * dataset.partitions
        self.left = n

    def add(self, record):
        if record.offset != self.next[record.partition]:
            raise AssertionError(f"partition {record.partition}: offset {record.offset} came, want {self.next[record.partition]}")
        diff = self.dataset.diff(record, self.null_is_empty)
        if diff:
            raise AssertionError(diff)
        self.next[record.partition] += 1
        self.left -= 1

    def finish(self):
        for p, end in enumerate(self.next):
            if end != self.dataset.count(p, self.n):
                raise AssertionError(f"partition {p} ends after {end} records, want {self.dataset.count(p, self.n)}")


def _hex(b):
    return "-" if b is None else b.hex()


def selftest():
    for topic, want in FINGERPRINTS.items():
        got = Dataset(topic).fingerprint()
        if got != want:
            raise AssertionError(f"fingerprint of {topic} is {got}, want {want}")
