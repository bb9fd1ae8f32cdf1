package conformance;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * A member commits whatever it takes, and neither notices that its coordinator is killed after a third, nor that it comes back after two.
 * Each commit is acknowledged before the next records are taken, so that a record that comes twice, or never, shows an acknowledged commit that was lost.
 */
final class Failover {
    private final Driver d;
    private final Dataset data;
    private final BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private final long[] next;
    private int taken;

    Failover(Driver d, Dataset data) {
        this.d = d;
        this.data = data;
        this.next = new long[data.partitions];
    }

    void run() throws Exception {
        String group = "group-" + d.client + "-failover";
        try (KafkaConsumer<byte[], byte[]> c = d.consumer("group.id", group, "group.protocol", "classic", "max.poll.records", "100",
            "heartbeat.interval.ms", "300")) {
            c.subscribe(List.of(data.name));
            take(c, d.records / 3);
            System.out.println("kill " + group);
            await("killed");
            take(c, d.records * 2 / 3);
            await("back");
            take(c, d.records);
        }
        try (KafkaConsumer<byte[], byte[]> c = d.consumer("group.id", group)) {
            Map<TopicPartition, OffsetAndMetadata> committed = c.committed(new HashSet<>(Driver.partitions(data)));
            for (TopicPartition tp : Driver.partitions(data)) {
                Driver.want("committed of " + tp, committed.get(tp).offset(), data.count(tp.partition(), d.records));
            }
        }
    }

    private void take(KafkaConsumer<byte[], byte[]> c, int until) throws Exception {
        while (taken < until) {
            ConsumerRecords<byte[], byte[]> records = c.poll(Duration.ofMillis(500));
            for (ConsumerRecord<byte[], byte[]> r : records) {
                Driver.want("next offset of partition " + r.partition(), r.offset(), next[r.partition()]++);
                String diff = data.diff(Driver.rec(r));
                if (diff != null) {
                    throw new Exception(diff);
                }
                taken++;
            }
            if (!records.isEmpty()) {
                c.commitSync();
            }
        }
    }

    /** Waits until the runner says so. */
    private void await(String what) throws IOException {
        String said = orders.readLine();
        if (!what.equals(said)) {
            throw new IOException("the runner said " + said + ", want " + what);
        }
    }
}
