import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Copies one topic to another in transactions, as its documentation tells a program to: an error aborts the transaction and goes back to what is committed; an error
 * that the producer does not survive, or that leaves a commit in doubt, ends the process. The arguments are those of the Go test's loop.Job.
 */
public final class Processor {
    // As in the Go processor.
    private static final int PER_TRANSACTION = 50;
    private static final int HELD_OPEN_MS = 60;
    private static final int ABORT_ONE_OF = 20;

    private final KafkaProducer<byte[], byte[]> producer;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String output;

    private Processor(String[] args) {
        Properties common = new Properties();
        common.put("bootstrap.servers", args[0]);
        common.put("retry.backoff.ms", "50");
        common.put("reconnect.backoff.max.ms", "200");

        Properties p = new Properties();
        p.putAll(common);
        p.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, args[4]);
        p.put(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, args[6]);
        p.put(ProducerConfig.LINGER_MS_CONFIG, "0");
        producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());

        Properties c = new Properties();
        c.putAll(common);
        c.put(ConsumerConfig.GROUP_ID_CONFIG, args[1]);
        c.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        c.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        c.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        c.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, String.valueOf(PER_TRANSACTION));
        String protocol = args[7];
        c.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, protocol);
        if (protocol.equals("classic")) {
            c.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, args[5]);
            c.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, String.valueOf(Integer.parseInt(args[5]) / 6));
        }
        consumer = new KafkaConsumer<>(c, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(args[2]));
        output = args[3];
    }

    public static void main(String[] args) {
        try {
            Processor p = new Processor(args);
            p.producer.initTransactions();
            while (true) {
                p.once();
            }
        } catch (Throwable e) {
            e.printStackTrace();
            System.err.println("\nfatal: " + e);
            Runtime.getRuntime().halt(1);
        }
    }

    private void once() throws InterruptedException {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) {
            return;
        }
        producer.beginTransaction();
        try {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> r : records) {
                producer.send(new ProducerRecord<>(output, r.partition(), null, r.value()));
            }
            offsets.putAll(records.nextOffsets());
            Thread.sleep(ThreadLocalRandom.current().nextInt(HELD_OPEN_MS));
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            if (ThreadLocalRandom.current().nextInt(ABORT_ONE_OF) == 0) {
                throw new KafkaException("an abort without need");
            }
            producer.flush();
        } catch (ApplicationRecoverableException e) {
            throw e;
        } catch (KafkaException e) {
            System.err.println(System.currentTimeMillis() + " " + records.count() + " records, aborted: " + e);
            producer.abortTransaction();
            rewind();
            return;
        }
        try {
            producer.commitTransaction();
        } catch (ApplicationRecoverableException e) {
            throw e;
        } catch (org.apache.kafka.common.errors.TimeoutException | org.apache.kafka.common.errors.InterruptException e) {
            throw e; // nobody knows whether it is committed: whoever takes the transactional ID over finds out
        } catch (KafkaException e) {
            System.err.println(System.currentTimeMillis() + " " + records.count() + " records, refused: " + e);
            producer.abortTransaction();
            rewind();
            return;
        }
        System.err.println(System.currentTimeMillis() + " " + records.count() + " records, committed");
    }

    /** What was polled and not committed is polled again. */
    private void rewind() {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        for (TopicPartition tp : consumer.assignment()) {
            OffsetAndMetadata at = committed.get(tp);
            consumer.seek(tp, at == null ? 0 : at.offset());
        }
    }
}
