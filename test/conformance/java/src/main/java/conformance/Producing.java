package conformance;

import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What the producer and the consumer are asked to do. */
final class Producing {
    static final String PROFILE = "3kevhdnt";
    private final Driver d;

    Producing(Driver d) {
        this.d = d;
    }

    void run() {
        // Without idempotence a retry may overtake, so only one request is under way.
        String inFlight = "max.in.flight.requests.per.connection";
        String[][] settings = {
            {"none"}, {"gzip", "acks", "1", "enable.idempotence", "false", inFlight, "1"}, {"snappy"},
            {"lz4", "enable.idempotence", "false", inFlight, "1"}, {"zstd"},
        };
        for (String[] s : settings) {
            Dataset t = Dataset.of(d.client, s[0], PROFILE);
            String[] more = Arrays.copyOf(s, s.length + 1);
            System.arraycopy(s, 1, more, 0, s.length - 1);
            more[s.length - 1] = "compression.type";
            more[s.length] = s[0];
            if (d.check("produce/" + s[0], () -> produce(t, d.records, more))) {
                System.out.println("wrote " + t.name);
                d.check("read/" + s[0], () -> d.read(t, d.records));
            }
        }
        for (String acks : List.of("0", "1", "all")) {
            Dataset t = Dataset.of(d.client, "acks" + acks, PROFILE);
            d.check("acks-" + acks, () -> {
                produce(t, 1000, "acks", acks, "enable.idempotence", "false", "max.in.flight.requests.per.connection", "1");
                d.read(t, 1000);
            });
        }
        Dataset t = Dataset.of(d.client, "none", PROFILE);
        d.check("seek-timestamp", () -> seekTimestamp(t));
        d.check("begin-and-end-offsets", () -> ends(t));
        d.check("large-record", this::large);
        d.check("too-large", this::tooLarge);
        d.check("unknown-topic", this::unknownTopic);
        d.check("auto-create", this::autoCreate);
        d.check("read-committed", () -> readCommitted(t));
        d.check("out-of-range", () -> outOfRange(t));
    }

    KafkaProducer<byte[], byte[]> producer(String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", d.bootstrap);
        p.put("linger.ms", "5");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Makes a topic whose records, old by their timestamps, are not deleted by age. */
    void create(String topic, int partitions) throws Exception {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", d.bootstrap))) {
            NewTopic t = new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(Map.of("retention.ms", "-1"));
            a.createTopics(List.of(t)).all().get();
        }
    }

    void produce(Dataset t, int n, String... settings) throws Exception {
        create(t.name, t.partitions);
        try (KafkaConsumer<byte[], byte[]> c = d.consumer()) {
            c.endOffsets(Driver.partitions(t)); // with acks=0 nothing retries: the new topic must have its leaders first
        }
        AtomicReference<Exception> failed = new AtomicReference<>();
        try (KafkaProducer<byte[], byte[]> p = producer(settings)) {
            for (int i = 0; i < n; i++) {
                Dataset.Rec r = t.rec(i);
                p.send(new ProducerRecord<>(t.name, r.partition(), r.timestamp(), r.key(), r.value(), r.headers()),
                    (meta, e) -> {
                        if (e != null) {
                            failed.compareAndSet(null, e);
                        }
                    });
            }
            p.flush();
        }
        if (failed.get() != null) {
            throw failed.get();
        }
    }

    private void seekTimestamp(Dataset t) throws Exception {
        long middle = Dataset.timestamp(d.records / 2) - 1;
        try (KafkaConsumer<byte[], byte[]> c = d.consumer()) {
            Map<TopicPartition, Long> ask = new HashMap<>();
            for (TopicPartition tp : Driver.partitions(t)) {
                ask.put(tp, middle);
            }
            c.assign(ask.keySet());
            for (Map.Entry<TopicPartition, OffsetAndTimestamp> e : c.offsetsForTimes(ask).entrySet()) {
                int p = e.getKey().partition();
                long want = t.firstAtOrAfter(p, middle, d.records);
                Driver.want("offset of partition " + p, e.getValue().offset(), want);
                Driver.want("timestamp of partition " + p, e.getValue().timestamp(), t.at(p, want).timestamp());
                c.seek(e.getKey(), e.getValue().offset());
            }
            boolean[] seen = new boolean[t.partitions];
            for (int left = t.partitions; left > 0; ) {
                ConsumerRecords<byte[], byte[]> got = c.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<byte[], byte[]> r : got) {
                    if (!seen[r.partition()]) {
                        seen[r.partition()] = true;
                        left--;
                        Driver.want("first offset", r.offset(), t.firstAtOrAfter(r.partition(), middle, d.records));
                    }
                }
            }
            TopicPartition p0 = new TopicPartition(t.name, 0);
            if (c.offsetsForTimes(Map.of(p0, Long.MAX_VALUE)).get(p0) != null) {
                throw new Exception("there is a record at the end of time");
            }
        }
    }

    private void ends(Dataset t) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = d.consumer()) {
            for (int p = 0; p < t.partitions; p++) {
                TopicPartition tp = new TopicPartition(t.name, p);
                Driver.want("begin", c.beginningOffsets(List.of(tp)).get(tp), 0L);
                Driver.want("end", c.endOffsets(List.of(tp)).get(tp), t.count(p, d.records));
                Driver.want("partitions", c.partitionsFor(t.name).size(), t.partitions);
            }
        }
    }

    /** n bytes that no codec makes small. */
    private static byte[] big(int n) throws Exception {
        byte[] out = new byte[n];
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        byte[] sum = sha.digest("big".getBytes());
        for (int at = 0; at < n; at += sum.length) {
            System.arraycopy(sum, 0, out, at, Math.min(sum.length, n - at));
            sum = sha.digest(sum);
        }
        return out;
    }

    private void large() throws Exception {
        String topic = d.topic("large");
        create(topic, 1);
        byte[] want = big(900_000);
        try (KafkaProducer<byte[], byte[]> p = producer(); KafkaConsumer<byte[], byte[]> c = d.consumer()) {
            for (int i = 0; i < 3; i++) {
                p.send(new ProducerRecord<>(topic, want)).get();
            }
            c.assign(List.of(new TopicPartition(topic, 0)));
            c.seekToBeginning(c.assignment());
            for (int n = 0; n < 3; ) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofSeconds(1))) {
                    Driver.want("record " + n + " unchanged", Arrays.equals(r.value(), want), true);
                    n++;
                }
            }
        }
    }

    private void tooLarge() throws Exception {
        String topic = d.topic("too-large");
        create(topic, 1);
        try (KafkaProducer<byte[], byte[]> p = producer("max.request.size", "8000000", "batch.size", "8000000")) {
            byte[] huge = big(2_000_000);
            Driver.wantError(RecordTooLargeException.class, () -> p.send(new ProducerRecord<>(topic, huge)).get());
            Driver.want("offset after the refusal", p.send(new ProducerRecord<>(topic, new byte[1])).get().offset(), 0L);
        }
    }

    private void unknownTopic() throws Exception {
        String topic = d.topic("never-created");
        try (KafkaConsumer<byte[], byte[]> c = d.consumer("allow.auto.create.topics", "false", "default.api.timeout.ms", "3000")) {
            Driver.wantError(TimeoutException.class, () -> c.endOffsets(List.of(new TopicPartition(topic, 0))));
            Driver.want("known", c.listTopics().containsKey(topic), false);
        }
    }

    private void autoCreate() throws Exception {
        String topic = d.topic("auto");
        try (KafkaProducer<byte[], byte[]> p = producer()) {
            Driver.want("offset", p.send(new ProducerRecord<>(topic, new byte[1])).get().offset(), 0L);
            Driver.want("partitions", p.partitionsFor(topic).size(), 1);
        } catch (ExecutionException e) {
            throw new Exception(e.getCause());
        }
    }

    /** Without transactions a read_committed consumer sees the same. */
    private void readCommitted(Dataset t) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = d.consumer("isolation.level", "read_committed")) {
            c.assign(Driver.partitions(t));
            c.seekToBeginning(c.assignment());
            for (int left = d.records; left > 0; ) {
                left -= c.poll(Duration.ofSeconds(1)).count();
            }
            Driver.want("end", c.endOffsets(c.assignment()).get(new TopicPartition(t.name, 0)), t.count(0, d.records));
        }
    }

    private void outOfRange(Dataset t) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = d.consumer("auto.offset.reset", "none")) {
            TopicPartition tp = new TopicPartition(t.name, 0);
            c.assign(List.of(tp));
            c.seek(tp, 10_000_000);
            Driver.wantError(OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    c.poll(Duration.ofSeconds(1));
                }
            });
        }
    }
}
