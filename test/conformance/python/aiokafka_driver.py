"""The conformance driver of aiokafka."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced

import dataset
from harness import CHECK_LIMIT_S, Harness, big, want

PROFILE = "3evhdnt"  # its producer refuses a null key with a null value
h = Harness()
CODECS = {
    "none": {"enable_idempotence": True},
    "gzip": {"acks": 1},
    "snappy": {"enable_idempotence": True},
    "lz4": {"acks": "all"},
    "zstd": {"enable_idempotence": True},
}


def sync(check):
    """A check as a plain function; every wait in it is bounded."""

    def body(*args, **settings):
        return asyncio.run(asyncio.wait_for(check(*args, **settings), CHECK_LIMIT_S - 5))

    return body


class Admin:
    async def __aenter__(self):
        self.client = AIOKafkaAdminClient(bootstrap_servers=h.bootstrap)
        await self.client.start()
        return self.client

    async def __aexit__(self, *_):
        await self.client.close()


async def create(topic, partitions=1, configs=None):
    """Returns Kafka's error code; 0 is success."""
    # The records are old by their timestamps: they must not be deleted by age.
    configs = configs or {"retention.ms": "-1"}
    async with Admin() as a:
        brokers = (await a.describe_cluster())["brokers"]  # aiokafka does not let brokers choose the number of replicas
        got = await a.create_topics([NewTopic(topic, partitions, min(3, len(brokers)), topic_configs=configs)])
        return got.topic_errors[0][1]


async def made(topic, partitions=1):
    want("error code of create", await create(topic, partitions), 0)


async def produce(t, n, **settings):
    await made(t.name, t.partitions)
    async with consumer() as c:  # with acks=0 nothing retries: the new topic must have its leaders first
        await c.end_offsets(partitions(t))
    async with AIOKafkaProducer(bootstrap_servers=h.bootstrap, linger_ms=5, **settings) as p:
        waiting = []
        for i in range(n):
            r = t.record(i)
            waiting.append(await p.send(t.name, r.value, r.key, r.partition, r.timestamp, r.headers))
        await p.flush()
        await asyncio.gather(*waiting)


def consumer(*topics, **settings):
    return AIOKafkaConsumer(
        *topics, bootstrap_servers=h.bootstrap, enable_auto_commit=False, **{"auto_offset_reset": "earliest", "fetch_max_wait_ms": 100, **settings}
    )


def to_record(m):
    return dataset.Record(m.partition, m.offset, m.timestamp, m.key, m.value, [tuple(x) for x in m.headers])


def partitions(t):
    return [TopicPartition(t.name, p) for p in range(t.partitions)]


async def read(t, n, **settings):
    async with consumer(**settings) as c:
        c.assign(partitions(t))
        await c.seek_to_beginning()
        v = dataset.Verifier(t, n)
        while v.left > 0:
            for records in (await c.getmany(timeout_ms=500)).values():
                for m in records:
                    v.add(to_record(m))
        v.finish()


async def group_resume():
    """A second member goes on where the first one has committed."""
    t, group = h.dataset("none", PROFILE), h.group("resume")
    v = dataset.Verifier(t, h.records)
    for left in (h.records * 2 // 3, 0):
        async with consumer(t.name, group_id=group) as c:
            while v.left > left:
                for records in (await c.getmany(timeout_ms=500)).values():
                    for m in records:
                        v.add(to_record(m))
            await c.commit()
    v.finish()
    async with Admin() as a:
        found = await a.list_consumer_group_offsets(group)
        want("offsets", {tp: o.offset for tp, o in found.items()}, {tp: t.count(tp.partition, h.records) for tp in partitions(t)})


async def transactional_copy():
    """A loop copies a data set, a few hundred records and the offsets that they came from in one transaction.

    Every third transaction is aborted, and its records are read again; one is left open by a producer whose successor has the same ID.
    A consumer of committed records finds each record once, in order, unchanged.
    """
    t, to, group = h.dataset("none", PROFILE), h.topic("copy"), h.group("copy")
    await made(to, t.partitions)
    copied = transactions = 0
    producers = [await transactional(to)]
    async with consumer(t.name, group_id=group, isolation_level="read_committed") as c:
        while copied < h.records:
            batch = await c.getmany(timeout_ms=500, max_records=max(h.records // 20, 1))
            if not batch:
                continue
            p = producers[-1]
            await p.begin_transaction()
            sent = []
            for tp, records in batch.items():
                for m in records:
                    sent.append(await p.send(to, m.value, m.key, tp.partition, m.timestamp, list(m.headers)))
            await asyncio.gather(*sent)
            await p.send_offsets_to_transaction({tp: records[-1].offset + 1 for tp, records in batch.items()}, group)
            transactions += 1
            if transactions % 3 and transactions != 5:
                await p.commit_transaction()
                copied += sum(len(records) for records in batch.values())
                continue
            if transactions == 5:
                producers.append(await transactional(to))
            else:
                await p.abort_transaction()
            for tp, records in batch.items():
                c.seek(tp, records[0].offset)
        for tp in partitions(t):
            expected = t.count(tp.partition, h.records)
            while (await c.committed(tp) or 0) < expected:  # a commit is answered when it is decided, and this client does not wait until offsets are stable
                pass
            want(f"committed of partition {tp.partition}", await c.committed(tp), expected)
    await producers.pop().stop()
    for p in producers:
        try:
            await p.commit_transaction()
        except ProducerFenced:
            continue
        finally:
            await p.client.close()
        raise AssertionError("a producer committed after its successor had begun")
    await read_copy(t, to)


async def transactional(name):
    p = AIOKafkaProducer(bootstrap_servers=h.bootstrap, transactional_id=name)
    await p.start()
    return p


async def read_copy(t, to):
    """Reads what is committed up to a record that comes after everything."""
    async with AIOKafkaProducer(bootstrap_servers=h.bootstrap) as p:
        for n in range(t.partitions):
            await p.send_and_wait(to, b"-", b"the end", n)
    async with consumer(isolation_level="read_committed") as c:
        c.assign([TopicPartition(to, p) for p in range(t.partitions)])
        await c.seek_to_beginning()
        v, ends = dataset.Verifier(t, h.records), 0
        while ends < t.partitions:
            for records in (await c.getmany(timeout_ms=500)).values():
                for m in records:
                    if m.key == b"the end":
                        ends += 1
                    else:  # markers and what was aborted lie between the copies
                        v.add(to_record(m)._replace(offset=v.next[m.partition]))
        v.finish()


async def seek_timestamp():
    t = h.dataset("none", PROFILE)
    middle = dataset.timestamp(h.records // 2) - 1
    async with consumer() as c:
        c.assign(partitions(t))
        found = await c.offsets_for_times({tp: middle for tp in partitions(t)})
        for tp, at in found.items():
            expected = t.first_at_or_after(tp.partition, middle, h.records)
            want("offset and time", (at.offset, at.timestamp), (expected, t.at(tp.partition, expected).timestamp))
            c.seek(tp, at.offset)
            want("first offset", (await c.getone(tp)).offset, expected)
        p0 = partitions(t)[0]
        want("after the end of time", await c.offsets_for_times({p0: 2**62}), {p0: None})


async def ends():
    t = h.dataset("none", PROFILE)
    async with consumer() as c:
        want("begin", await c.beginning_offsets(partitions(t)), {tp: 0 for tp in partitions(t)})
        want("end", await c.end_offsets(partitions(t)), {tp: t.count(tp.partition, h.records) for tp in partitions(t)})


async def send(topic, value, partition=None, **settings):
    async with AIOKafkaProducer(bootstrap_servers=h.bootstrap, **settings) as p:
        return await p.send_and_wait(topic, value, partition=partition)


async def large():
    topic, value = h.topic("large"), big(900_000)
    await made(topic)
    for _ in range(3):
        await send(topic, value)
    async with consumer(max_partition_fetch_bytes=2_000_000) as c:
        c.assign([TopicPartition(topic, 0)])
        for _ in range(3):
            want("unchanged", (await c.getone()).value == value, True)


async def want_error(name, waiting):
    try:
        await waiting
    except Exception as e:
        want("error", name in type(e).__name__, True)
        return
    raise AssertionError(f"succeeded, want {name}")


async def too_large():
    topic = h.topic("too-large")
    await made(topic)
    await want_error("MessageSizeTooLarge", send(topic, big(2_000_000), max_request_size=8_000_000))
    want("offset after the refusal", (await send(topic, b"v")).offset, 0)


async def auto_create():
    want("offset", (await send(h.topic("auto"), b"v")).offset, 0)


async def create_errors():
    topic = h.topic("exists")
    await made(topic)
    want("exists", await create(topic), 36)
    want("no partitions", await create(h.topic("none"), 0), 37)
    want("bad name", await create("no spaces allowed"), 17)
    want("bad key", await create(h.topic("bad"), configs={"no.such.key": "1"}), 40)


async def config(a, topic, key):
    for answer in await a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})]):
        for resource in answer.resources:
            for entry in resource[4]:
                if entry[0] == key:
                    return entry[1]
    return None


async def soon(what, look, expected):
    """Repeats what looks at the effect of a change until it is there: Kafka's controller answers before its brokers know."""
    end = time.monotonic() + 10
    while (got := await look()) != expected and time.monotonic() < end:
        pass
    want(what, got, expected)


async def configs():
    topic = h.topic("configs")
    await made(topic)
    async with Admin() as a:
        await soon("retention.ms", lambda: config(a, topic, "retention.ms"), "-1")
        # This client has only the old AlterConfigs: what is not named falls back to its default.
        await a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.ms": "3600000"})])
        await soon("segment.ms", lambda: config(a, topic, "segment.ms"), "3600000")
        await soon("retention.ms", lambda: config(a, topic, "retention.ms"), "604800000")


async def create_partitions():
    topic = h.topic("grow")
    await made(topic)
    async with Admin() as a:
        await a.create_partitions({topic: NewPartitions(4)})

        async def count():
            return len((await a.describe_topics([topic]))[0]["partitions"])

        await soon("partitions", count, 4)
    await send(topic, b"v", 3)


async def describe_cluster():
    async with Admin() as a:
        c = await a.describe_cluster()
        want("cluster ID there", bool(c["cluster_id"]), True)
        want("brokers", len(c["brokers"]) > 0, True)


async def delete_records():
    t = h.dataset("delrec", PROFILE)
    await produce(t, 300, acks="all")  # only what all replicas have can be deleted
    p0 = TopicPartition(t.name, 0)
    async with Admin() as a:
        await a.delete_records({p0: RecordsToDelete(before_offset=40)})
    async with consumer() as c:
        c.assign([p0])
        want("begin", await c.beginning_offsets([p0]), {p0: 40})
        c.seek(p0, 5)
        want("first offset after the reset", (await c.getone()).offset, 40)


async def delete_topic():
    topic = h.topic("delete")
    await made(topic)
    async with Admin() as a:
        got = await a.delete_topics([topic])
        want("error code", got.topic_error_codes[0][1], 0)
        got = await a.delete_topics([topic])
        want("error code again", got.topic_error_codes[0][1], 3)
    await made(topic)


async def acks(level):
    t = h.dataset(f"acks{level}", PROFILE)
    await produce(t, 1000, acks=level)
    await read(t, 1000)


def own():
    for codec, settings in CODECS.items():
        t = h.dataset(codec, PROFILE)
        settings = {"compression_type": None if codec == "none" else codec, **settings}
        if h.check("produce/" + codec, lambda t=t, s=settings: sync(produce)(t, h.records, **s)):
            h.wrote(t.name)
            h.check("read/" + codec, lambda t=t: sync(read)(t, h.records))
    h.check("read-committed", lambda: sync(read)(h.dataset("none", PROFILE), h.records, isolation_level="read_committed"))
    for level in (0, 1, "all"):
        h.check(f"acks-{level}", lambda a=level: sync(acks)(a))
    for check in (
        group_resume, transactional_copy, seek_timestamp, ends, large, too_large, auto_create, create_errors, configs, create_partitions, describe_cluster,
        delete_records, delete_topic,
    ):
        h.check(check.__name__.replace("_", "-"), sync(check))


h.main(own, sync(read))
