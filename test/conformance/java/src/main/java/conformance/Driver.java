package conformance;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The conformance driver of Kafka's own Java client. Its lines are those of the Go package driver. */
public final class Driver {
    static final Duration CHECK_LIMIT = Duration.ofSeconds(60);

    interface Check {
        void run() throws Exception;
    }

    final String bootstrap;
    final String client;
    final int records;
    private final ExecutorService pool = Executors.newCachedThreadPool(r -> {
        Thread t = new Thread(r);
        t.setDaemon(true);
        return t;
    });

    private Driver(Map<String, String> flags) {
        bootstrap = flags.get("--bootstrap");
        client = flags.getOrDefault("--client", "java");
        records = Integer.parseInt(flags.getOrDefault("--records", "10000"));
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            flags.put(args[i], args[i + 1]);
        }
        Driver d = new Driver(flags);
        d.check("dataset", Dataset::selftest);
        if ("cross".equals(flags.get("--stage"))) {
            for (String topic : flags.get("--topics").split(",")) {
                d.check("cross-read/" + topic, () -> d.read(new Dataset(topic), d.records));
            }
        } else if ("failover".equals(flags.get("--stage"))) {
            d.check("group-failover", () -> new Failover(d, Dataset.of(d.client, "none", Producing.PROFILE)).run());
        } else {
            new Producing(d).run();
            new Grouping(d, Dataset.of(d.client, "none", Producing.PROFILE)).run();
            new Transacting(d).run();
            new Sharing(d, Dataset.of(d.client, "none", Producing.PROFILE)).run();
            new Administering(d).run();
        }
        System.out.println("done");
        System.exit(0);
    }

    /** Runs one check, prints its line, and says whether it passed. */
    boolean check(String name, Check check) {
        Future<?> f = pool.submit(() -> {
            check.run();
            return null;
        });
        String why;
        try {
            f.get(CHECK_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
            System.out.println("ok " + name);
            return true;
        } catch (ExecutionException e) {
            e.getCause().printStackTrace();
            why = String.valueOf(e.getCause());
        } catch (Exception e) {
            f.cancel(true);
            why = "no answer within " + CHECK_LIMIT;
        }
        System.out.println("FAIL " + name + ": " + why.replace('\n', '|'));
        return false;
    }

    static void want(String what, Object got, Object want) throws Exception {
        if (!got.equals(want)) {
            throw new Exception(what + " is " + got + ", want " + want);
        }
    }

    /** Repeats what looks at the effect of a change until it is there: Kafka's controller answers before its brokers know. */
    static void soon(Check look) throws Exception {
        for (long end = System.nanoTime() + Duration.ofSeconds(10).toNanos(); ; Thread.onSpinWait()) {
            try {
                look.run();
                return;
            } catch (Exception e) {
                if (System.nanoTime() > end) {
                    throw e;
                }
            }
        }
    }

    /** Expects action to fail with the given exception of Kafka's, bare or as a cause. */
    static void wantError(Class<? extends Exception> kind, Check action) throws Exception {
        try {
            action.run();
        } catch (Exception e) {
            if (kind.isInstance(e) || kind.isInstance(e.getCause())) {
                return;
            }
            throw new Exception("answered " + e + ", want " + kind.getSimpleName(), e);
        }
        throw new Exception("succeeded, want " + kind.getSimpleName());
    }

    String topic(String purpose) {
        return "feat-" + client + "-" + purpose;
    }

    KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<TopicPartition> partitions(Dataset t) {
        List<TopicPartition> out = new ArrayList<>();
        for (int p = 0; p < t.partitions; p++) {
            out.add(new TopicPartition(t.name, p));
        }
        return out;
    }

    static Dataset.Rec rec(ConsumerRecord<byte[], byte[]> r) {
        return new Dataset.Rec(r.partition(), r.offset(), r.timestamp(), r.key(), r.value(), List.of(r.headers().toArray()));
    }

    /** Reads the first n records of the topic from assigned partitions and verifies each. */
    void read(Dataset t, int n) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            c.assign(partitions(t));
            c.seekToBeginning(partitions(t));
            long[] next = new long[t.partitions];
            long deadline = System.nanoTime() + CHECK_LIMIT.toNanos();
            for (int left = n; left > 0; ) {
                if (System.nanoTime() > deadline) {
                    throw new Exception(left + " records did not come");
                }
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) {
                    want("next offset of partition " + r.partition(), r.offset(), next[r.partition()]);
                    String diff = t.diff(rec(r));
                    if (diff != null) {
                        throw new Exception(diff);
                    }
                    next[r.partition()]++;
                    left--;
                }
            }
            for (int p = 0; p < t.partitions; p++) {
                want("end of partition " + p, next[p], t.count(p, n));
            }
        }
    }
}
