"""The conformance driver of kafka-python."""

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.admin import OffsetSpec

import dataset
from harness import Deadline, Harness, big, soon, want, want_error

PROFILE = "3evhdt"  # its producer refuses null header values, and a null key with a null value
h = Harness()
CODECS = {
    "none": {"compression_type": None},
    "gzip": {"acks": 1, "enable_idempotence": False, "max_in_flight_requests_per_connection": 1},
    "snappy": {},
    "lz4": {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1},
    "zstd": {},
}


def admin():
    return KafkaAdminClient(bootstrap_servers=h.bootstrap)


def create(topic, partitions=1, configs=None, **more):
    # The records are old by their timestamps: they must not be deleted by age.
    spec = {"num_partitions": partitions, "replication_factor": -1, "configs": configs or {"retention.ms": "-1"}}
    admin().create_topics({topic: spec}, **more)


def produce(t, n, **settings):
    create(t.name, t.partitions)
    c = consumer()
    c.end_offsets(partitions(t))  # with acks=0 nothing retries: the new topic must have its leaders first
    c.close()
    p = KafkaProducer(bootstrap_servers=h.bootstrap, linger_ms=5, **settings)
    sent = []
    for i in range(n):
        r = t.record(i)
        sent.append(p.send(t.name, r.value, r.key, r.headers, r.partition, r.timestamp))
    p.flush(60)
    for f in sent:
        f.get(1)
    p.close()


def consumer(**settings):
    return KafkaConsumer(bootstrap_servers=h.bootstrap, enable_auto_commit=False, **{"auto_offset_reset": "earliest", **settings})


def to_record(m):
    return dataset.Record(m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers))


def partitions(t):
    return [TopicPartition(t.name, p) for p in range(t.partitions)]


def read(t, n, **settings):
    c = consumer(**settings)
    c.assign(partitions(t))
    c.seek_to_beginning()
    v, deadline = dataset.Verifier(t, n), Deadline()
    while v.left > 0:
        deadline(f"{v.left} records")
        for records in c.poll(500, max_records=5000).values():
            for m in records:
                v.add(to_record(m))
    v.finish()
    c.close()


def group_resume():
    """A second member goes on where the first one has committed."""
    t, group = h.dataset("none", PROFILE), h.group("resume")
    v, deadline = dataset.Verifier(t, h.records), Deadline()
    for left in (h.records * 2 // 3, 0):
        c = consumer(group_id=group)
        c.subscribe([t.name])
        while v.left > left:
            deadline(f"{v.left} records")
            for records in c.poll(500, max_records=1000).values():
                for m in records:
                    v.add(to_record(m))
        c.commit()
        c.close()
    v.finish()
    a = admin()
    found = a.list_group_offsets({group: None})[group]
    want("offsets", {tp: o.offset for tp, o in found.items()}, {tp: t.count(tp.partition, h.records) for tp in partitions(t)})
    want("listed", group in [g["group_id"] for g in a.list_groups()], True)
    a.delete_groups([group])


def transactional_copy():
    """A loop copies a data set, a few hundred records and the offsets that they came from in one transaction.

    Every third transaction is aborted, and its records are read again; one is left open by a producer whose successor has the same ID.
    A consumer of committed records finds each record once, in order, unchanged.
    """
    t, to, group = h.dataset("none", PROFILE), h.topic("copy"), h.group("copy")
    create(to, t.partitions)
    c = consumer(group_id=group, isolation_level="read_committed")
    c.subscribe([t.name])
    copied, transactions, deadline, producer, gone = 0, 0, Deadline(), transactional(to), None
    while copied < h.records:
        deadline(f"{h.records - copied} records")
        batch = c.poll(500, max_records=max(h.records // 20, 1))
        if not batch:
            continue
        producer.begin_transaction()
        for tp, records in batch.items():
            for m in records:
                producer.send(to, m.value, m.key, list(m.headers), tp.partition, m.timestamp)
        after = {tp: OffsetAndMetadata(records[-1].offset + 1, "", -1) for tp, records in batch.items()}
        producer.send_offsets_to_transaction(after, c.group_metadata())
        transactions += 1
        if transactions % 3 and transactions != 5:
            producer.commit_transaction()
            copied += sum(len(records) for records in batch.values())
            continue
        if transactions == 5:
            producer.flush(30)
            gone, producer = producer, transactional(to)
            want_error("Fenced", gone.commit_transaction)
        else:
            producer.abort_transaction()
        for tp, records in batch.items():
            c.seek(tp, records[0].offset)
    producer.close()
    for tp in partitions(t):
        soon(f"committed of partition {tp.partition}", lambda tp=tp: c.committed(tp), t.count(tp.partition, h.records))
    c.close()
    read_copy(t, to)


def transactional(name):
    p = KafkaProducer(bootstrap_servers=h.bootstrap, transactional_id=name)
    p.init_transactions()
    return p


def read_copy(t, to):
    """Reads what is committed up to a record that comes after everything."""
    p = KafkaProducer(bootstrap_servers=h.bootstrap)
    for n in range(t.partitions):
        p.send(to, b"-", b"the end", partition=n).get(30)
    p.close()
    c = consumer(isolation_level="read_committed")
    c.assign([TopicPartition(to, p) for p in range(t.partitions)])
    c.seek_to_beginning()
    v, deadline, ends = dataset.Verifier(t, h.records), Deadline(), 0
    while ends < t.partitions:
        deadline(f"{v.left} records")
        for records in c.poll(500, max_records=5000).values():
            for m in records:
                if m.key == b"the end":
                    ends += 1
                else:  # markers and what was aborted lie between the copies
                    v.add(to_record(m)._replace(offset=v.next[m.partition]))
    v.finish()
    c.close()


def seek_timestamp():
    t, c = h.dataset("none", PROFILE), consumer()
    middle = dataset.timestamp(h.records // 2) - 1
    found = c.offsets_for_times({tp: middle for tp in partitions(t)})
    c.assign(partitions(t))
    for tp, at in found.items():
        expected = t.first_at_or_after(tp.partition, middle, h.records)
        want("offset and time", (at.offset, at.timestamp), (expected, t.at(tp.partition, expected).timestamp))
        c.seek(tp, at.offset)
    seen, deadline = set(), Deadline()
    while len(seen) < t.partitions:
        deadline("a first record of each partition")
        for tp, records in c.poll(500).items():
            if tp not in seen:
                seen.add(tp)
                want("first offset", records[0].offset, found[tp].offset)
    want("after the end of time", c.offsets_for_times({partitions(t)[0]: 2**62}), {partitions(t)[0]: None})
    c.close()


def ends():
    t, c = h.dataset("none", PROFILE), consumer()
    want("begin", c.beginning_offsets(partitions(t)), {tp: 0 for tp in partitions(t)})
    want("end", c.end_offsets(partitions(t)), {tp: t.count(tp.partition, h.records) for tp in partitions(t)})
    want("partitions", c.partitions_for_topic(t.name), set(range(t.partitions)))
    c.close()


def list_offsets():
    t, a = h.dataset("none", PROFILE), admin()
    middle = dataset.timestamp(h.records // 2)
    for tp in partitions(t):
        p = tp.partition
        for spec, offset in (
            (OffsetSpec.EARLIEST, 0),
            (OffsetSpec.LATEST, t.count(p, h.records)),
            (OffsetSpec.MAX_TIMESTAMP, t.max_timestamp_offset(p, h.records)),
            (middle, t.first_at_or_after(p, middle, h.records)),
        ):
            want(f"{spec}", a.list_partition_offsets({tp: spec})[tp].offset, offset)


def send(topic, value, partition=None, **settings):
    p = KafkaProducer(bootstrap_servers=h.bootstrap, **settings)
    try:
        return p.send(topic, value, partition=partition).get(60)
    finally:
        p.close()


def large():
    topic, value = h.topic("large"), big(900_000)
    create(topic)
    for _ in range(3):
        send(topic, value)
    c = consumer()
    c.assign([TopicPartition(topic, 0)])
    deadline, got = Deadline(), []
    while len(got) < 3:
        deadline("3 large records")
        for records in c.poll(500).values():
            got += [m.value for m in records]
    want("all unchanged", all(v == value for v in got), True)
    c.close()


def too_large():
    topic = h.topic("too-large")
    create(topic)
    want_error("MessageSizeTooLarge", lambda: send(topic, big(2_000_000), max_request_size=8_000_000, batch_size=4_000_000))
    want("offset after the refusal", send(topic, b"v").offset, 0)


def unknown_topic():
    want("error", admin().describe_topics([h.topic("never-created")])[0]["error_code"], 3)
    want("known", h.topic("never-created") in admin().list_topics(), False)


def auto_create():
    want("offset", send(h.topic("auto"), b"v").offset, 0)


def create_errors():
    create(h.topic("exists"))
    want_error("TopicAlreadyExists", lambda: create(h.topic("exists")))
    want_error("InvalidPartitions", lambda: create(h.topic("none"), 0))
    want_error("InvalidTopic", lambda: create("no spaces allowed"))
    want_error("InvalidConfiguration", lambda: create(h.topic("bad"), configs={"no.such.key": "1"}))
    create(h.topic("dry"), validate_only=True)
    want("dry run created it", h.topic("dry") in admin().list_topics(), False)


def config(topic, key):
    r = ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})
    return admin().describe_configs([r], config_filter="all")["topic"][topic][key]


def configs():
    topic = h.topic("configs")
    create(topic)

    def alter(key, change):
        return admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: change})])

    soon("retention.ms", lambda: config(topic, "retention.ms")["value"], "-1")
    soon("segment.ms", lambda: config(topic, "segment.ms")["value"], "604800000")
    alter("segment.ms", "3600000")
    soon("segment.ms", lambda: config(topic, "segment.ms")["value"], "3600000")
    alter("cleanup.policy", (AlterConfigOp.APPEND, "compact"))
    soon("cleanup.policy", lambda: config(topic, "cleanup.policy")["value"], "delete,compact")
    alter("segment.ms", (AlterConfigOp.DELETE, None))
    soon("segment.ms", lambda: config(topic, "segment.ms")["value"], "604800000")
    want("refused", "InvalidConfiguration" in str(alter("segment.ms", "many")), True)


def create_partitions():
    topic = h.topic("grow")
    create(topic)
    admin().create_partitions({topic: 4})
    want_error("InvalidPartitions", lambda: admin().create_partitions({topic: 2}))
    soon("partitions", lambda: len(admin().describe_topics([topic])[0]["partitions"]), 4)
    send(topic, b"v", 3)


def describe_cluster():
    c = admin().describe_cluster()
    want("cluster ID there", bool(c["cluster_id"]), True)
    want("brokers", len(c["brokers"]) > 0, True)
    admin().describe_features()


def describe_log_dirs():
    topic = h.topic("configs")
    want("named", topic in str(admin().describe_log_dirs([topic])), True)


def describe_producers():
    topic = h.topic("producers")
    create(topic)
    for _ in range(2):
        send(topic, b"v")
    tp = TopicPartition(topic, 0)
    want("producers", len(admin().describe_producers([tp])[tp].active_producers), 2)


def delete_records():
    t = h.dataset("delrec", PROFILE)
    produce(t, 300)
    p0 = TopicPartition(t.name, 0)
    want("low watermark", admin().delete_records({p0: 40})[p0]["low_watermark"], 40)
    c = consumer()
    want("begin", c.beginning_offsets([p0]), {p0: 40})
    c.assign([p0])
    c.seek(p0, 5)
    deadline, got = Deadline(), []
    while not got:
        deadline("a record")
        got = c.poll(500).get(p0, [])
    want("first offset after the reset", got[0].offset, 40)
    c.close()
    want_error("OffsetOutOfRange", lambda: admin().delete_records({p0: 1000}))


def delete_topic():
    create(h.topic("delete"))
    admin().delete_topics([h.topic("delete")])
    want_error("UnknownTopicOrPartition", lambda: admin().delete_topics([h.topic("delete")]))
    create(h.topic("delete"))


def acks(level):
    t = h.dataset(f"acks{level}", PROFILE)
    produce(t, 1000, acks=level, enable_idempotence=False, max_in_flight_requests_per_connection=1)
    read(t, 1000)


def own():
    for codec, settings in CODECS.items():
        t = h.dataset(codec, PROFILE)
        if h.check("produce/" + codec, lambda t=t, s={"compression_type": codec, **settings}: produce(t, h.records, **s)):
            h.wrote(t.name)
            h.check("read/" + codec, lambda t=t: read(t, h.records))
    h.check("read-committed", lambda: read(h.dataset("none", PROFILE), h.records, isolation_level="read_committed"))
    for level in (0, 1, "all"):
        h.check(f"acks-{level}", lambda a=level: acks(a))
    for check in (
        group_resume, transactional_copy, seek_timestamp, ends, list_offsets, large, too_large, unknown_topic, auto_create, create_errors, configs,
        create_partitions, describe_cluster, describe_log_dirs, describe_producers, delete_records, delete_topic,
    ):
        h.check(check.__name__.replace("_", "-"), check)


h.main(own, read)
