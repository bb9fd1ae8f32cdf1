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
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What consumers do in share groups (KIP-932): queues over partitions. */
final class Sharing {
    private static final Duration POLL = Duration.ofMillis(500);
    private static final Duration LIMIT = Duration.ofSeconds(40);
    private final Driver d;
    private final Dataset data;
    private final String run = Long.toString(System.nanoTime(), 36); // groups outlive a run
    private Admin admin;

    Sharing(Driver d, Dataset data) {
        this.d = d;
        this.data = data;
    }

    void run() {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", d.bootstrap))) {
            admin = a;
            d.check("share-implicit", this::implicit);
            d.check("share-explicit", this::explicit);
            d.check("share-two-members", this::twoMembers);
            d.check("share-delivery-limit", this::deliveryLimit);
            d.check("share-renewal", this::renewal);
            d.check("share-record-limit", this::recordLimit);
        }
    }

    /** A group that begins with the first record. */
    private String group(String purpose) throws Exception {
        String id = "share-" + d.client + "-" + purpose + "-" + run;
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, id),
            List.of(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all().get();
        Driver.soon(() -> Driver.want("share.auto.offset.reset", admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.GROUP, id)))
            .all().get().values().iterator().next().get("share.auto.offset.reset").value(), "earliest"));
        return id;
    }

    /** A topic of one partition with so many records, in small batches. */
    private String topic(String purpose, int records) throws Exception {
        String name = "p-share-" + d.client + "-" + purpose + "-" + run;
        admin.createTopics(List.of(new NewTopic(name, 1, (short) -1))).all().get();
        Properties p = new Properties();
        p.put("bootstrap.servers", d.bootstrap);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(name, ("value " + i).getBytes(StandardCharsets.UTF_8)));
                if (i % 10 == 9) {
                    producer.flush();
                }
            }
        }
        return name;
    }

    private KafkaShareConsumer<byte[], byte[]> member(String group, String topic, String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", d.bootstrap);
        p.put("group.id", group);
        p.put("max.poll.records", "500");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        KafkaShareConsumer<byte[], byte[]> c = new KafkaShareConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        c.subscribe(List.of(topic));
        return c;
    }

    private interface Taker {
        /** Takes what was polled, and says whether there is to be more. */
        boolean take(ConsumerRecords<byte[], byte[]> records) throws Exception;
    }

    private static void poll(KafkaShareConsumer<byte[], byte[]> c, Taker t) throws Exception {
        for (long end = System.nanoTime() + LIMIT.toNanos(); t.take(c.poll(POLL)); ) {
            if (System.nanoTime() > end) {
                throw new Exception("there is more to come after " + LIMIT);
            }
        }
    }

    /** Nothing is left for whoever comes. */
    private void nothingLeft(String group, String topic) throws Exception {
        try (KafkaShareConsumer<byte[], byte[]> c = member(group, topic)) {
            for (int i = 0; i < 4; i++) {
                Driver.want("records that are left", c.poll(POLL).count(), 0);
            }
        }
    }

    /** One member takes a third of the data set and leaves, another one takes the rest: each record comes once and unchanged. */
    private void implicit() throws Exception {
        String group = group("implicit");
        Set<String> seen = new HashSet<>();
        for (int until : new int[] {d.records / 3, d.records}) {
            try (KafkaShareConsumer<byte[], byte[]> c = member(group, data.name)) {
                poll(c, records -> {
                    for (ConsumerRecord<byte[], byte[]> r : records) {
                        String diff = data.diff(Driver.rec(r));
                        if (diff != null) {
                            throw new Exception(diff);
                        }
                        if (!seen.add(r.partition() + ":" + r.offset())) {
                            throw new Exception("record " + r.offset() + " of partition " + r.partition() + " came again");
                        }
                        if (until < d.records) { // what a member has fetched and not polled comes to the next one as delivered before
                            Driver.want("deliveries", r.deliveryCount().orElse((short) 0), (short) 1);
                        }
                    }
                    return seen.size() < until;
                });
                c.commitSync(); // closing releases what was polled last
            }
        }
        Driver.want("records", seen.size(), d.records);
        nothingLeft(group, data.name);
    }

    /** What is accepted and rejected is done with, what is released comes again and says so. */
    private void explicit() throws Exception {
        final int n = 100;
        String group = group("explicit");
        String topic = topic("explicit", n);
        Map<Long, List<Short>> came = new TreeMap<>();
        Set<Long> done = new HashSet<>();
        try (KafkaShareConsumer<byte[], byte[]> c = member(group, topic, "share.acknowledgement.mode", "explicit")) {
            poll(c, records -> {
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    short delivery = r.deliveryCount().orElse((short) 0);
                    came.computeIfAbsent(r.offset(), o -> new ArrayList<>()).add(delivery);
                    AcknowledgeType type = delivery > 1 || r.offset() % 3 == 0 ? AcknowledgeType.ACCEPT
                        : r.offset() % 3 == 1 ? AcknowledgeType.RELEASE : AcknowledgeType.REJECT;
                    c.acknowledge(r, type);
                    if (type != AcknowledgeType.RELEASE) {
                        done.add(r.offset());
                    }
                }
                c.commitSync().forEach((p, error) -> {
                    if (error.isPresent()) {
                        throw error.get();
                    }
                });
                return done.size() < n;
            });
        }
        for (long o = 0; o < n; o++) {
            Driver.want("deliveries of record " + o, came.get(o), o % 3 == 1 ? List.of((short) 1, (short) 2) : List.of((short) 1));
        }
        nothingLeft(group, topic);
    }

    /** Two members share one partition: each has some, no record comes twice; what one has when it leaves the other one gets. */
    private void twoMembers() throws Exception {
        final int n = 400;
        String group = group("two");
        String topic = topic("two", n);
        Map<Long, String> by = new HashMap<>();
        try (KafkaShareConsumer<byte[], byte[]> first = member(group, topic, "max.poll.records", "20")) {
            try (KafkaShareConsumer<byte[], byte[]> second = member(group, topic, "max.poll.records", "20", "share.acknowledgement.mode", "explicit")) {
                Map<Long, String> held = new HashMap<>();
                long end = System.nanoTime() + LIMIT.toNanos();
                while (held.isEmpty() || by.isEmpty()) {
                    take(first, by, "first", held);
                    if (held.isEmpty()) {
                        take(second, held, "second", by);
                    }
                    if (System.nanoTime() > end) {
                        throw new Exception("the members have " + by.size() + " and " + held.size() + " records");
                    }
                }
            } // and has acknowledged nothing
            poll(first, records -> {
                took(records, by, "first", Map.of());
                return by.size() < n;
            });
            first.commitSync();
        }
        nothingLeft(group, topic);
    }

    private static void take(KafkaShareConsumer<byte[], byte[]> c, Map<Long, String> into, String who, Map<Long, String> others) throws Exception {
        took(c.poll(Duration.ofMillis(100)), into, who, others);
    }

    private static void took(ConsumerRecords<byte[], byte[]> records, Map<Long, String> into, String who, Map<Long, String> others) throws Exception {
        for (ConsumerRecord<byte[], byte[]> r : records) {
            if (others.containsKey(r.offset()) || into.put(r.offset(), who) != null) {
                throw new Exception("record " + r.offset() + " came to the " + who + " member again");
            }
        }
    }

    /** A record that is released each time comes five times, and never again. */
    private void deliveryLimit() throws Exception {
        String group = group("limit");
        String topic = topic("limit", 3);
        List<Short> came = new ArrayList<>();
        Set<Long> others = new HashSet<>();
        try (KafkaShareConsumer<byte[], byte[]> c = member(group, topic, "share.acknowledgement.mode", "explicit")) {
            poll(c, records -> {
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    if (r.offset() == 1) {
                        came.add(r.deliveryCount().orElse((short) 0));
                        c.acknowledge(r, AcknowledgeType.RELEASE);
                    } else {
                        others.add(r.offset());
                        c.acknowledge(r, AcknowledgeType.ACCEPT);
                    }
                }
                c.commitSync();
                return came.size() < 5 || others.size() < 2;
            });
        }
        Driver.want("deliveries", came, List.of((short) 1, (short) 2, (short) 3, (short) 4, (short) 5));
        nothingLeft(group, topic);
    }

    /** Who renews has its records still (KIP-1222). */
    private void renewal() throws Exception {
        String group = group("renewal");
        String topic = topic("renewal", 10);
        Set<Long> accepted = new HashSet<>();
        Set<Long> renewed = new HashSet<>();
        try (KafkaShareConsumer<byte[], byte[]> c = member(group, topic, "share.acknowledgement.mode", "explicit")) {
            poll(c, records -> {
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    Driver.want("deliveries", r.deliveryCount().orElse((short) 0), (short) 1);
                    if (renewed.add(r.offset())) {
                        c.acknowledge(r, AcknowledgeType.RENEW);
                    } else {
                        c.acknowledge(r, AcknowledgeType.ACCEPT);
                        accepted.add(r.offset());
                    }
                }
                c.commitSync().forEach((p, error) -> {
                    if (error.isPresent()) {
                        throw error.get();
                    }
                });
                return accepted.size() < 10;
            });
        }
        nothingLeft(group, topic);
    }

    /** No more records than max.poll.records are locked (KIP-1206). */
    private void recordLimit() throws Exception {
        final int n = 50;
        String group = group("record-limit");
        String topic = topic("record-limit", n);
        Set<Long> seen = new HashSet<>();
        try (KafkaShareConsumer<byte[], byte[]> c = member(group, topic, "share.acquire.mode", "record_limit", "max.poll.records", "7")) {
            poll(c, records -> {
                if (records.count() > 7) {
                    throw new Exception(records.count() + " records were polled, want 7 at most");
                }
                for (TopicPartition p : records.partitions()) {
                    for (ConsumerRecord<byte[], byte[]> r : records.records(p)) {
                        Driver.want("the next record", r.offset(), (long) seen.size());
                        seen.add(r.offset());
                    }
                }
                return seen.size() < n;
            });
            c.commitSync();
        }
        nothingLeft(group, topic);
    }
}
