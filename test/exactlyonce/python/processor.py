"""Copies one topic to another in transactions with librdkafka. The arguments are those of the Go test's loop.Job.

What librdkafka says of an error is followed: try again, abort, or end the process. Before partitions go to others, what was done with them is aborted, and
what was done with those that stay is read again.
"""

import faulthandler
import os
import random
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

# As in the Go processor.
PER_TRANSACTION = 50
HELD_OPEN_S = 0.06
ABORT_ONE_OF = 20
PATIENCE_S = 5
WATCHDOG_S = 15


def log(text):
    print(f"{time.time():.3f} {text}", file=sys.stderr, flush=True)


class Processor:
    def __init__(self, bootstrap, group, source, output, tid, session_ms, transaction_ms, protocol):
        common = {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200, "topic.metadata.refresh.fast.interval.ms": 100}
        if debug := os.environ.get("EXACTLYONCE_DEBUG"):
            common["debug"] = debug
        self.producer = Producer({**common, "transactional.id": tid, "transaction.timeout.ms": int(transaction_ms), "linger.ms": 0, "retry.backoff.ms": 50})
        # In the new protocol the server says how long sessions are.
        times = {"session.timeout.ms": int(session_ms), "heartbeat.interval.ms": int(session_ms) // 6} if protocol == "classic" else {}
        self.consumer = Consumer({
            **common, **times, "group.id": group, "group.protocol": protocol, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "fetch.wait.max.ms": 200,
        })
        self.output = output
        self.open = False
        self.behind = False  # what was read is not what is committed, and must be read again
        self.next = {}  # of the open transaction: partition to the offset that is to be committed
        self.producer.init_transactions(PATIENCE_S)
        self.consumer.subscribe([source], on_assign=lambda _, ps: log(f"assigned {[p.partition for p in ps]}"), on_revoke=self.revoked, on_lost=self.revoked)

    def revoked(self, _, partitions):
        log(f"revoked {[p.partition for p in partitions]}")
        self.behind = self.behind or self.open  # in the new protocol other partitions may stay, and their records are aborted as well
        self.abort()

    def abort(self):
        if self.open:
            self.open, self.next = False, {}
            self.insist(self.producer.abort_transaction)
            log("aborted")

    @staticmethod
    def insist(call, *args):
        """Repeats what librdkafka says is to be repeated."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(*args)
            except KafkaException as e:
                if not e.args[0].retriable() or time.monotonic() > until:
                    raise
                log(f"again: {e}")
                time.sleep(0.05)

    def rewind(self):
        self.behind = False
        for p in self.insist(self.consumer.committed, self.consumer.assignment(), PATIENCE_S):
            self.insist(self.consumer.seek, TopicPartition(p.topic, p.partition, p.offset if p.offset >= 0 else OFFSET_BEGINNING))

    def read(self):
        """Takes some records and copies them in a transaction."""
        for n in range(PER_TRANSACTION):
            m = self.consumer.poll(0.02 if n else 0.2)
            if self.behind or m is None:
                return
            if m.error():
                log(f"reading: {m.error()}")
                return
            if not self.open:
                self.producer.begin_transaction()
                self.open = True
            self.producer.produce(self.output, m.value(), partition=m.partition())
            self.next[m.topic(), m.partition()] = m.offset() + 1

    def once(self):
        try:
            self.read()
            if self.behind:
                self.rewind()
            if not self.open:
                return
            time.sleep(random.random() * HELD_OPEN_S)
            count = [TopicPartition(t, p, o) for (t, p), o in self.next.items()]
            self.insist(self.producer.send_offsets_to_transaction, count, self.consumer.consumer_group_metadata(), PATIENCE_S)
            if random.randrange(ABORT_ONE_OF) == 0:
                self.abort()
                self.rewind()
                return
            self.insist(self.producer.commit_transaction, PATIENCE_S)
            self.open, self.next = False, {}
            log("committed")
        except KafkaException as e:
            if not e.args[0].txn_requires_abort():
                raise
            log(f"refused: {e}")
            self.abort()
            self.rewind()


try:
    p = Processor(*sys.argv[1:])
    while True:
        # send_offsets_to_transaction hangs beyond its timeout when the group's coordinator has died and is gone from the metadata (librdkafka 5511 and
        # 5456, open as of 2.16.1). Such a process says where it stands, and ends.
        faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
        p.once()
except BaseException as e:
    print(f"\nfatal: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
    raise
