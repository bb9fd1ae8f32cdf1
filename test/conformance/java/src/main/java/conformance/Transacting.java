package conformance;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

/** What transactional producers do, what consumers of committed records see of it, and what tools do to transactions. */
final class Transacting {
    private static final int PARTITIONS = 3;
    private final Driver d;
    private final String run = Long.toString(System.nanoTime(), 36); // transactional IDs outlive a run
    private Admin admin;

    Transacting(Driver d) {
        this.d = d;
    }

    void run() {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", d.bootstrap))) {
            admin = a;
            d.check("txn-commit-abort", this::commitAbort);
            d.check("txn-fencing", this::fencing);
            d.check("txn-exactly-once", this::exactlyOnce);
            d.check("txn-timeout", this::timeout);
            d.check("txn-admin", this::tools);
        }
    }

    private String topic(String purpose, int partitions) throws Exception {
        String name = "p-txn-" + d.client + "-" + purpose + "-" + run;
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) -1))).all().get();
        return name;
    }

    private KafkaProducer<String, String> producer(String id, int timeoutMs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", d.bootstrap);
        p.put("transactional.id", id + "-" + run);
        p.put("transaction.timeout.ms", timeoutMs);
        p.put("linger.ms", 0);
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<byte[], byte[]> committed(String... settings) {
        List<String> all = new ArrayList<>(List.of("isolation.level", "read_committed", "auto.offset.reset", "earliest"));
        all.addAll(List.of(settings));
        return d.consumer(all.toArray(new String[0]));
    }

    /** How often each value is seen, up to where each partition is stable; false: a transaction is still open below the end. */
    private Map<String, Integer> seen(String topic, int partitions) throws Exception {
        Map<String, Integer> out = new TreeMap<>();
        try (KafkaConsumer<byte[], byte[]> c = committed()) {
            List<TopicPartition> all = new ArrayList<>();
            for (int n = 0; n < partitions; n++) {
                all.add(new TopicPartition(topic, n));
            }
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            while (all.stream().anyMatch(tp -> c.position(tp) < ends.get(tp))) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(200))) {
                    out.merge(new String(r.value(), StandardCharsets.UTF_8), 1, Integer::sum);
                }
            }
        }
        return out;
    }

    /** A commit is answered when it is decided; consumers see it a moment later. */
    private void wantSeen(String topic, int partitions, Map<String, Integer> want) throws Exception {
        Map<String, Integer> got = Map.of();
        for (int i = 0; i < 50; i++) {
            if ((got = seen(topic, partitions)).equals(want)) {
                return;
            }
            Thread.sleep(100);
        }
        Driver.want("what is committed", got, want);
    }

    private void commitAbort() throws Exception {
        String topic = topic("ends", PARTITIONS);
        Map<String, Integer> want = new TreeMap<>();
        try (KafkaProducer<String, String> p = producer("ends", 60_000)) {
            p.initTransactions();
            for (int i = 0; i < 20; i++) {
                p.beginTransaction();
                for (int n = 0; n < PARTITIONS; n++) {
                    p.send(new ProducerRecord<>(topic, n, null, "transaction " + i));
                }
                if (i % 4 == 1) {
                    p.flush();
                    p.abortTransaction();
                } else {
                    p.commitTransaction();
                    want.put("transaction " + i, PARTITIONS);
                }
            }
        }
        wantSeen(topic, PARTITIONS, want);
    }

    private void fencing() throws Exception {
        String topic = topic("fence", 1);
        try (KafkaProducer<String, String> old = producer("fence", 60_000); KafkaProducer<String, String> other = producer("fence", 60_000)) {
            old.initTransactions();
            old.beginTransaction();
            old.send(new ProducerRecord<>(topic, "left open")).get();
            other.initTransactions();
            other.beginTransaction();
            other.send(new ProducerRecord<>(topic, "successor")).get();
            boolean fenced = false;
            try {
                old.send(new ProducerRecord<>(topic, "late"));
                old.commitTransaction();
            } catch (KafkaException e) {
                fenced = true;
            }
            Driver.want("that the old producer was fenced", fenced, true);
            other.commitTransaction();
        }
        wantSeen(topic, 1, Map.of("successor", 1));
    }

    private void exactlyOnce() throws Exception {
        String in = topic("in", PARTITIONS);
        String out = topic("out", PARTITIONS);
        String group = "group-" + d.client + "-loop-" + run;
        Map<String, Integer> want = new TreeMap<>();
        try (KafkaProducer<String, String> p = producer("feed", 60_000)) {
            p.initTransactions();
            p.beginTransaction();
            for (int i = 0; i < 300; i++) {
                p.send(new ProducerRecord<>(in, i % PARTITIONS, null, "value " + i));
                want.put("value " + i, 1);
            }
            p.commitTransaction();
        }
        int step = 0;
        Set<String> copied = new HashSet<>();
        while (copied.size() < want.size()) { // another incarnation after each crash
            try (KafkaProducer<String, String> p = producer("loop", 60_000);
                KafkaConsumer<byte[], byte[]> c = committed("group.id", group, "enable.auto.commit", "false", "max.poll.records", "50")) {
                p.initTransactions();
                c.subscribe(List.of(in));
                for (boolean crash = false; !crash && copied.size() < want.size();) {
                    List<String> values = new ArrayList<>();
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    p.beginTransaction();
                    for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) {
                        values.add(new String(r.value(), StandardCharsets.UTF_8));
                        p.send(new ProducerRecord<>(out, r.partition(), null, values.get(values.size() - 1)));
                        offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                    }
                    if (!values.isEmpty()) {
                        p.sendOffsetsToTransaction(offsets, c.groupMetadata());
                        crash = step++ % 3 == 1;
                    }
                    if (crash) {
                        p.flush();
                    } else {
                        p.commitTransaction();
                        copied.addAll(values);
                    }
                }
            }
        }
        wantSeen(out, PARTITIONS, want);
    }

    private void timeout() throws Exception {
        String topic = topic("timeout", 1);
        try (KafkaProducer<String, String> p = producer("timeout", 2_000)) {
            p.initTransactions();
            p.beginTransaction();
            p.send(new ProducerRecord<>(topic, "left open")).get();
            String id = "timeout-" + run;
            for (int i = 0; i < 200; i++) {
                if (admin.describeTransactions(List.of(id)).description(id).get().state() == TransactionState.COMPLETE_ABORT) {
                    break;
                }
                Thread.sleep(100);
            }
            boolean refused = false;
            try {
                p.commitTransaction();
            } catch (KafkaException e) {
                refused = true;
            }
            Driver.want("that a commit after the timeout was refused", refused, true);
        }
        wantSeen(topic, 1, Map.of());
    }

    private void tools() throws Exception {
        String topic = topic("tools", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        String id = "tools-" + run;
        try (KafkaProducer<String, String> p = producer("tools", 60_000)) {
            p.initTransactions();
            p.beginTransaction();
            p.send(new ProducerRecord<>(topic, "open")).get();
            TransactionDescription t = admin.describeTransactions(List.of(id)).description(id).get();
            Driver.want("the state", t.state(), TransactionState.ONGOING);
            Driver.want("the partitions", t.topicPartitions(), Set.of(tp));
            Driver.want("the timeout", t.transactionTimeoutMs(), 60_000L);
            Set<String> listed = new TreeSet<>();
            admin.listTransactions().all().get().forEach(l -> listed.add(l.transactionalId()));
            Driver.want("that it is listed", listed.contains(id), true);
            List<ProducerState> producers = admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers();
            Driver.want("the producers of the partition", producers.size(), 1);
            ProducerState s = producers.get(0);
            Driver.want("where the transaction begins", s.currentTransactionStartOffset().getAsLong(), 0L);
            admin.abortTransaction(new AbortTransactionSpec(tp, s.producerId(), (short) s.producerEpoch(), s.coordinatorEpoch().orElse(0))).all().get();
            s = admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers().get(0);
            Driver.want("that none is open after it was aborted", s.currentTransactionStartOffset().isPresent(), false);
        }
        wantSeen(topic, 1, Map.of());
    }
}
