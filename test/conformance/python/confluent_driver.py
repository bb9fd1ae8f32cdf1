"""The conformance driver of confluent-kafka (librdkafka)."""

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka import TopicCollection

import dataset
from harness import Deadline, Harness, big, soon, want, want_error

PROFILE = "3kevhdnt"
h = Harness()
CONF = {"bootstrap.servers": h.bootstrap}
NO_COORDINATOR = (
    KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._WAIT_COORD, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.REQUEST_TIMED_OUT,
)
ADMIN = AdminClient(CONF)  # one for all: a call's future fails once its client is collected


def admin():
    return ADMIN


def wait(futures):
    """The results of an admin call, by what was asked; raises the first failure."""
    return {k: f.result(30) for k, f in futures.items()}


def create(topic, partitions=1, config=None):
    # The records are old by their timestamps: they must not be deleted by age.
    wait(admin().create_topics([NewTopic(topic, partitions, config=config or {"retention.ms": "-1"})]))


def ready(t):
    """Waits until the new topic has its leaders: with acks=0 nothing retries."""
    c, deadline = consumer(), Deadline()
    for p in range(t.partitions):
        while True:
            try:
                c.get_watermark_offsets(TopicPartition(t.name, p), 10)
                break
            except KafkaException as e:
                deadline(f"a leader of {t.name}: {e}")
    c.close()


def produce(t, n, **settings):
    create(t.name, t.partitions)
    ready(t)
    failed = []
    conf = {"linger.ms": 5, "queue.buffering.max.messages": 1_000_000, **CONF}
    p = Producer({**conf, **{k.replace("_", "."): v for k, v in settings.items()}})
    for i in range(n):
        r = t.record(i)
        p.produce(t.name, r.value, r.key, partition=r.partition, timestamp=r.timestamp, headers=r.headers,
                  callback=lambda err, _: err and failed.append(err))
        p.poll(0)
    want("left in the queue", p.flush(60), 0)
    if failed:
        raise KafkaException(failed[0])


def consumer(**settings):
    return Consumer({
        "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100,
        **CONF, **{k.replace("_", "."): v for k, v in settings.items()},
    })


def to_record(m):
    kind, ts = m.timestamp()
    want("timestamp type", kind, TIMESTAMP_CREATE_TIME)
    headers = [(k, v) for k, v in m.headers() or []]
    return dataset.Record(m.partition(), m.offset(), ts, m.key(), m.value(), headers)


def read(t, n, **settings):
    c = consumer(**settings)
    c.assign([TopicPartition(t.name, p, OFFSET_BEGINNING) for p in range(t.partitions)])
    v, deadline = dataset.Verifier(t, n), Deadline()
    while v.left > 0:
        deadline(f"{v.left} records")
        for m in c.consume(1000, 0.5):
            if m.error():
                raise KafkaException(m.error())
            v.add(to_record(m))
    v.finish()
    c.close()


def group_resume():
    """A second member goes on where the first one has committed."""
    for strategy in ("range", "cooperative-sticky"):
        t, group = h.dataset("none", PROFILE), h.group("resume-" + strategy)
        v, deadline = dataset.Verifier(t, h.records), Deadline()
        for left in (h.records * 2 // 3, 0):
            c = consumer(group_id=group, partition_assignment_strategy=strategy)
            c.subscribe([t.name])
            while v.left > left:
                deadline(f"{v.left} records")
                for m in c.consume(100, 0.5):
                    if m.error():
                        raise KafkaException(m.error())
                    v.add(to_record(m))
            c.commit(asynchronous=False)
            c.close()
        v.finish()
        described = wait(admin().describe_consumer_groups([group]))[group]
        want("state", described.state.name, "EMPTY")
        wait(admin().delete_consumer_groups([group]))


def group_failover():
    """A member commits whatever it takes, and neither notices that its coordinator is killed after a third, nor that it comes back after two.

    Each commit is acknowledged before the next records are taken, so that a record that comes twice, or never, shows an acknowledged commit that was lost.
    """
    t, group = h.dataset("none", PROFILE), h.group("failover")
    c, v, deadline = consumer(group_id=group), dataset.Verifier(t, h.records), Deadline()
    c.subscribe([t.name])

    def take(left):
        while v.left > left:
            deadline(f"{v.left} records")
            got = c.consume(100, 0.5)
            for m in got:
                if m.error():
                    if m.error().retriable() or m.error().code() < 0:  # a broker that is gone is no end
                        continue
                    raise KafkaException(m.error())
                v.add(to_record(m))
            if got:
                commit(c, deadline)

    take(h.records * 2 // 3)
    back = h.kill_coordinator(group)
    take(h.records // 3)
    back()
    take(0)
    v.finish()
    c.close()
    c = consumer(group_id=group)
    for tp in c.committed([TopicPartition(t.name, p) for p in range(t.partitions)], 10):
        want(f"committed of partition {tp.partition}", tp.offset, t.count(tp.partition, h.records))
    c.close()


def commit(c, deadline):
    """Commits what was taken; librdkafka leaves it to the application to try again while there is no coordinator."""
    while True:
        try:
            for tp in c.commit(asynchronous=False):
                if tp.error:
                    raise KafkaException(tp.error)
            return
        except KafkaException as e:
            deadline(f"the answer to a commit: {e}")
            error = e.args[0]
            if error.code() == KafkaError._NO_OFFSET:
                return
            if not (error.retriable() or error.code() in NO_COORDINATOR):
                raise


def transactional_copy():
    """A loop copies a data set, a few hundred records and the offsets that they came from in one transaction.

    Every third transaction is aborted, and its records are read again; one is left open by a producer whose successor has the same ID.
    A consumer of committed records finds each record once, in order, unchanged.
    """
    t, to, group = h.dataset("none", PROFILE), h.topic("copy"), h.group("copy")
    create(to, t.partitions)
    c = consumer(group_id=group, isolation_level="read_committed")
    c.subscribe([t.name])
    copied, transactions, deadline, producer = 0, 0, Deadline(), transactional(to)
    while copied < h.records:
        deadline(f"{h.records - copied} records")
        batch = c.consume(max(h.records // 20, 1), 0.5)
        if not batch:
            continue
        first = {}
        producer.begin_transaction()
        for m in batch:
            if m.error():
                raise KafkaException(m.error())
            first.setdefault(m.partition(), m.offset())
            producer.produce(to, m.value(), m.key(), partition=m.partition(), timestamp=m.timestamp()[1], headers=m.headers())
        producer.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata())
        transactions += 1
        if transactions % 3 and transactions != 5:
            producer.commit_transaction()
            copied += len(batch)
            continue
        if transactions == 5:
            old, producer = producer, transactional(to)
            want_error("FENCED", old.commit_transaction)
        else:
            producer.abort_transaction()
        for p, offset in first.items():
            c.seek(TopicPartition(t.name, p, offset))
    for tp in c.committed([TopicPartition(t.name, p) for p in range(t.partitions)], 10):
        want(f"committed of partition {tp.partition}", tp.offset, t.count(tp.partition, h.records))
    c.close()
    read_copy(t, to)


def transactional(name):
    p = Producer({"transactional.id": name, **CONF})
    p.init_transactions(30)
    return p


def read_copy(t, to):
    """Reads what is committed up to a record that comes after everything."""
    p = Producer(CONF)
    for n in range(t.partitions):
        p.produce(to, key=b"the end", partition=n)
    want("left in the queue", p.flush(60), 0)
    c = consumer(isolation_level="read_committed")
    c.assign([TopicPartition(to, p, OFFSET_BEGINNING) for p in range(t.partitions)])
    v, deadline, ends = dataset.Verifier(t, h.records), Deadline(), 0
    while ends < t.partitions:
        deadline(f"{v.left} records")
        for m in c.consume(1000, 0.5):
            if m.error():
                raise KafkaException(m.error())
            if m.key() == b"the end":
                ends += 1
                continue
            # markers and what was aborted lie between the copies
            v.add(to_record(m)._replace(offset=v.next[m.partition()]))
    v.finish()
    c.close()


def seek_timestamp():
    t = h.dataset("none", PROFILE)
    middle = dataset.timestamp(h.records // 2) - 1
    c = consumer()
    found = c.offsets_for_times([TopicPartition(t.name, p, middle) for p in range(t.partitions)], 10)
    for tp in found:
        want(f"offset of partition {tp.partition}", tp.offset, t.first_at_or_after(tp.partition, middle, h.records))
    c.assign(found)
    seen, deadline = set(), Deadline()
    while len(seen) < t.partitions:
        deadline("a first record of each partition")
        for m in c.consume(1000, 0.5):
            if m.partition() not in seen:
                seen.add(m.partition())
                want("first offset", m.offset(), t.first_at_or_after(m.partition(), middle, h.records))
    end = c.offsets_for_times([TopicPartition(t.name, 0, 2**62)], 10)[0]
    want("offset after the end of time", end.offset, OFFSET_END)
    c.close()


def watermarks():
    t, c = h.dataset("none", PROFILE), consumer()
    for p in range(t.partitions):
        want("watermarks", c.get_watermark_offsets(TopicPartition(t.name, p), 10), (0, t.count(p, h.records)))
    c.close()


def list_offsets():
    t = h.dataset("none", PROFILE)

    def ask(p, spec, isolation=IsolationLevel.READ_UNCOMMITTED):
        tp = TopicPartition(t.name, p)
        return wait(admin().list_offsets({tp: spec}, isolation_level=isolation, request_timeout=10))[tp]

    middle = dataset.timestamp(h.records // 2)
    for p in range(t.partitions):
        want("earliest", ask(p, OffsetSpec.earliest()).offset, 0)
        want("latest", ask(p, OffsetSpec.latest()).offset, t.count(p, h.records))
        want("stable", ask(p, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED).offset, t.count(p, h.records))
        want("by time", ask(p, OffsetSpec.for_timestamp(middle)).offset, t.first_at_or_after(p, middle, h.records))
        want("max timestamp", ask(p, OffsetSpec.max_timestamp()).offset, t.max_timestamp_offset(p, h.records))


def large():
    topic = h.topic("large")
    create(topic)
    value = big(900_000)
    p = Producer({"message.max.bytes": 2_000_000, **CONF})
    for _ in range(3):
        p.produce(topic, value)
    want("left in the queue", p.flush(60), 0)
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    deadline, got = Deadline(), []
    while len(got) < 3:
        deadline("3 large records")
        got += [m.value() for m in c.consume(10, 0.5)]
    want("all unchanged", all(v == value for v in got), True)
    c.close()


def send(topic, value, **settings):
    """Produces one record and returns it as delivered."""
    out = []
    p = Producer({**CONF, **{k.replace("_", "."): v for k, v in settings.items()}})
    p.produce(topic, value, callback=lambda err, m: out.append((err, m)))
    p.flush(60)
    err, m = out[0]
    if err:
        raise KafkaException(err)
    return m


def too_large():
    topic = h.topic("too-large")
    create(topic)
    want_error("MSG_SIZE_TOO_LARGE", lambda: send(topic, big(2_000_000), message_max_bytes=8_000_000))
    want("offset after the refusal", send(topic, b"v").offset(), 0)


def unknown_topic():
    topic = h.topic("never-created")
    c = consumer()  # asks without auto-creation, unlike the admin client
    want("error", c.list_topics(topic, 10).topics[topic].error.name(), "UNKNOWN_TOPIC_OR_PART")
    c.close()
    want_error("_UNKNOWN_PARTITION", lambda: produce_to(h.topic("auto"), 7))


def produce_to(topic, partition):
    out = []
    p = Producer({"message.timeout.ms": 5000, **CONF})
    p.produce(topic, b"v", partition=partition, callback=lambda err, m: out.append(err))
    p.flush(60)
    if out[0]:
        raise KafkaException(out[0])


def auto_create():
    want("offset", send(h.topic("auto"), b"v").offset(), 0)
    want("partitions", len(admin().list_topics(h.topic("auto"), 10).topics[h.topic("auto")].partitions), 1)


def create_errors():
    create(h.topic("exists"))
    want_error("TOPIC_ALREADY_EXISTS", lambda: create(h.topic("exists")))
    want_error("TOPIC_EXCEPTION", lambda: create("no spaces allowed"))
    want_error("INVALID_CONFIG", lambda: create(h.topic("bad"), config={"no.such.key": "1"}))
    wait(admin().create_topics([NewTopic(h.topic("dry"), 1)], validate_only=True))
    want("dry run created it", h.topic("dry") in admin().list_topics(timeout=10).topics, False)


def config(topic, key):
    r = ConfigResource(ResourceType.TOPIC, topic)
    return wait(admin().describe_configs([r]))[r][key]


def describe_configs():
    create(h.topic("configs"), config={"segment.bytes": "12345678"})
    soon("segment.bytes", lambda: config(h.topic("configs"), "segment.bytes").value, "12345678")
    c = config(h.topic("configs"), "retention.ms")
    want("retention.ms", (c.value, c.is_default, c.is_read_only), ("604800000", True, False))
    r = ConfigResource(ResourceType.BROKER, str(next(iter(admin().list_topics(timeout=10).brokers))))
    want("message.max.bytes", wait(admin().describe_configs([r]))[r]["message.max.bytes"].value, "1048588")


def alter_configs():
    topic = h.topic("alter")
    create(topic)

    def alter(key, value, op):
        entry = ConfigEntry(key, value, incremental_operation=op)
        r = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        wait(admin().incremental_alter_configs([r]))

    alter("retention.ms", "3600000", AlterConfigOpType.SET)
    soon("retention.ms", lambda: config(topic, "retention.ms").value, "3600000")
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    soon("cleanup.policy", lambda: config(topic, "cleanup.policy").value, "delete,compact")
    alter("retention.ms", None, AlterConfigOpType.DELETE)
    soon("retention.ms", lambda: config(topic, "retention.ms").value, "604800000")
    want_error("INVALID_CONFIG", lambda: alter("retention.ms", "many", AlterConfigOpType.SET))
    wait(admin().alter_configs([ConfigResource(ResourceType.TOPIC, topic, set_config={"segment.bytes": "7654321"})]))
    soon("segment.bytes", lambda: config(topic, "segment.bytes").value, "7654321")
    soon("cleanup.policy, not named", lambda: config(topic, "cleanup.policy").value, "delete")


def create_partitions():
    topic = h.topic("grow")
    create(topic)
    wait(admin().create_partitions([NewPartitions(topic, 4)]))
    soon("partitions", lambda: len(admin().list_topics(topic, 10).topics[topic].partitions), 4)
    want_error("INVALID_PARTITIONS", lambda: wait(admin().create_partitions([NewPartitions(topic, 2)])))
    produce_to(topic, 3)


def describe_cluster():
    c = admin().describe_cluster(request_timeout=10).result(30)
    want("cluster ID there", bool(c.cluster_id), True)
    want("controller is a node", c.controller.id in [n.id for n in c.nodes], True)


def describe_topics():
    create(h.topic("describe"), 3)

    def described():
        return admin().describe_topics(TopicCollection([h.topic("describe")]))[h.topic("describe")].result(30)

    soon("partitions", lambda: len(described().partitions), 3)
    want("has an ID", str(described().topic_id) not in ("", "AAAAAAAAAAAAAAAAAAAAAA"), True)


def delete_records():
    t = h.dataset("delrec", PROFILE)
    produce(t, 300)
    tp = TopicPartition(t.name, 0, 40)
    want("low watermark", wait(admin().delete_records([tp]))[tp].low_watermark, 40)
    c = consumer()
    want("watermarks", c.get_watermark_offsets(TopicPartition(t.name, 0), 10), (40, 100))
    c.assign([TopicPartition(t.name, 0, 5)])
    deadline, got = Deadline(), []
    while not got:
        deadline("a record")
        got = c.consume(1, 0.5)
    want("first offset after the reset", got[0].offset(), 40)
    c.close()
    want_error("OFFSET_OUT_OF_RANGE", lambda: wait(admin().delete_records([TopicPartition(t.name, 0, 1000)])))


def delete_topic():
    create(h.topic("delete"))
    wait(admin().delete_topics([h.topic("delete")]))
    want_error("UNKNOWN_TOPIC_OR_PART", lambda: wait(admin().delete_topics([h.topic("delete")])))
    create(h.topic("delete"))


def acks(level):
    t = h.dataset(f"acks{level}", PROFILE)
    produce(t, 1000, acks=level, max_in_flight=1)
    read(t, 1000)


def own():
    # Without idempotence a retry may overtake, so only one request is under way.
    settings = {
        "none": {"enable_idempotence": True},
        "gzip": {"acks": 1, "max_in_flight": 1},
        "snappy": {"enable_idempotence": True},
        "lz4": {"acks": "all", "max_in_flight": 1},
        "zstd": {"enable_idempotence": True},
    }
    for codec, s in settings.items():
        t = h.dataset(codec, PROFILE)
        if h.check("produce/" + codec, lambda t=t, s=s, c=codec: produce(t, h.records, compression_type=c, **s)):
            h.wrote(t.name)
            h.check("read/" + codec, lambda t=t: read(t, h.records))
    h.check("read-committed", lambda: read(h.dataset("none", PROFILE), h.records, isolation_level="read_committed"))
    for level in ("0", "1", "all"):
        h.check("acks-" + level, lambda a=level: acks(a))
    for check in (
        group_resume, transactional_copy, seek_timestamp, watermarks, list_offsets, large, too_large, auto_create, unknown_topic, create_errors,
        describe_configs, alter_configs, create_partitions, describe_cluster, describe_topics, delete_records, delete_topic,
    ):
        h.check(check.__name__.replace("_", "-"), check)


h.main(own, read, group_failover)
