// Writes the *.bin files of this directory with Kafka's own code, or reads such files back with it:
//
//   java -cp '/path/to/kafka/libs/*' testdata/Golden.java write testdata
//   java -cp '/path/to/kafka/libs/*' testdata/Golden.java read some-directory

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.internal.*;

public class Golden {
    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static SimpleRecord record(int i) {
        Header[] headers = new Header[i % 4];
        for (int h = 0; h < headers.length; h++) {
            headers[h] = new RecordHeader("header-" + h, h % 2 == 0 ? bytes("x" + i) : null);
        }
        byte[] key = i % 3 == 0 ? null : bytes("key-" + i);
        byte[] value = i % 7 == 0 ? null : bytes(("value-" + i + " ").repeat(i % 10));
        return new SimpleRecord(1700000000000L + i, key, value, headers);
    }

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        SimpleRecord[] records = new SimpleRecord[200];
        for (int i = 0; i < records.length; i++) {
            records[i] = record(i);
        }
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Path file = dir.resolve("kafka-" + codec + ".bin");
            if (args[0].equals("write")) {
                MemoryRecords m = MemoryRecords.withTransactionalRecords(
                    40L, Compression.of(codec).build(), 9L, (short) 2, 17, 5, records);
                Files.write(file, array(m.buffer()));
            } else {
                read(file, records);
            }
        }
        for (ControlRecordType type : List.of(ControlRecordType.ABORT, ControlRecordType.COMMIT)) {
            Path file = dir.resolve("kafka-" + type.name().toLowerCase() + ".bin");
            MemoryRecords m = MemoryRecords.withEndTransactionMarker(
                0L, 1700000000000L, 0, 9L, (short) 2, new EndTransactionMarker(type, 12));
            if (args[0].equals("write")) {
                Files.write(file, array(m.buffer()));
            } else if (!Arrays.equals(Files.readAllBytes(file), array(m.buffer()))) {
                throw new AssertionError(file + " differs");
            }
        }
        System.out.println("done");
    }

    static byte[] array(ByteBuffer b) {
        byte[] out = new byte[b.remaining()];
        b.duplicate().get(out);
        return out;
    }

    static void read(Path file, SimpleRecord[] want) throws Exception {
        MemoryRecords m = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
        int i = 0;
        for (RecordBatch batch : m.batches()) {
            batch.ensureValid();
            for (org.apache.kafka.common.record.internal.Record r : batch) {
                SimpleRecord w = want[i];
                if (r.offset() != 40 + i || !new SimpleRecord(r).equals(w)) {
                    throw new AssertionError(file + ": record " + i + " is " + r);
                }
                i++;
            }
            if (batch.producerId() != 9 || batch.producerEpoch() != 2 || batch.baseSequence() != 17 || !batch.isTransactional()
                || batch.partitionLeaderEpoch() != 5 || batch.maxTimestamp() != 1700000000199L) {
                throw new AssertionError(file + ": header");
            }
        }
        if (i != want.length) {
            throw new AssertionError(file + ": " + i + " records");
        }
    }
}
