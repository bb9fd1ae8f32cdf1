package conformance;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The records that every driver produces and verifies: see DATASET.md. The Go package dataset is the same. */
final class Dataset {
    static final Map<String, String> FINGERPRINTS = Map.of(
        "conf-x-none-3kevhdnt", "58bbc68502ee1ca8c64b10498994dd362f08873c6e3cff286c1e7b33ece2a7c5",
        "conf-x-none-1kvha", "b578a2d036377f8c20683917180f9d2f9d9de8703220a8c02305f886f804a5b1");

    private static final HexFormat HEX = HexFormat.of();

    /** One record as it must come back; null keys and values are null. */
    record Rec(int partition, long offset, long timestamp, byte[] key, byte[] value, List<Header> headers) { }

    final String name;
    final int partitions;
    private final String profile;
    private final MessageDigest sha;

    Dataset(String name) {
        int dash = name.lastIndexOf('-');
        this.name = name;
        this.partitions = name.charAt(dash + 1) - '0';
        this.profile = name.substring(dash + 2);
        this.sha = sha256();
        if (!name.startsWith("conf-") || partitions < 1 || partitions > 9) {
            throw new IllegalArgumentException(name + " is not conf-CLIENT-CODEC-PROFILE");
        }
    }

    static Dataset of(String client, String codec, String profile) {
        return new Dataset("conf-" + client + "-" + codec + "-" + profile);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    boolean has(char ability) {
        return profile.indexOf(ability) >= 0;
    }

    long count(int partition, int n) {
        return (n - partition + partitions - 1) / partitions;
    }

    Rec at(int partition, long offset) {
        return rec((int) offset * partitions + partition);
    }

    static long timestamp(int i) {
        return 1_700_000_000_000L + 1000L * i + (i % 97 == 13 ? 50_000 : 0);
    }

    Rec rec(int i) {
        byte[] h = sha.digest((name + ":" + i).getBytes(StandardCharsets.US_ASCII));
        byte[] key;
        if (i % 7 == 3 && has('k')) {
            key = null;
        } else if (i % 7 == 5 && has('e')) {
            key = new byte[0];
        } else {
            key = text(Arrays.copyOf(h, 1 + (h[0] & 0xff) % 16));
        }
        byte[] value;
        if (i % 11 == 4 && has('v')) {
            value = null;
        } else if (i % 11 == 6 && has('e')) {
            value = new byte[0];
        } else {
            value = new byte[1 + ((h[1] & 0xff) * 256 + (h[2] & 0xff)) % 500];
            for (int j = 0; j < value.length; j++) {
                value[j] = (byte) (h[j % 32] ^ (j / 32));
            }
            value = text(value);
        }
        List<Header> headers = new ArrayList<>();
        if (has('h')) {
            for (int n = 0; n < (h[3] & 0xff) % 4; n++) {
                headers.add(header(h, n));
            }
        }
        return new Rec(i % partitions, i / partitions, timestamp(i), key, value, headers);
    }

    private Header header(byte[] h, int n) {
        String key = has('d') && (h[4] & 0xff) % 5 == 0 ? "h0" : "h" + n;
        int kind = (h[5 + n] & 0xff) % 5;
        byte[] value;
        if (kind == 0 && has('n')) {
            value = null;
        } else if (kind < 2) {
            value = has('a') ? "00".getBytes(StandardCharsets.US_ASCII) : new byte[0];
        } else {
            value = text(Arrays.copyOfRange(h, 8, 8 + 4 * (n + 1)));
        }
        return new RecordHeader(key, value);
    }

    private byte[] text(byte[] b) {
        return has('a') ? HEX.formatHex(b).getBytes(StandardCharsets.US_ASCII) : b;
    }

    /** The first offset of the partition whose timestamp is at least ms, or -1. */
    long firstAtOrAfter(int partition, long ms, int n) {
        for (int i = partition; i < n; i += partitions) {
            if (timestamp(i) >= ms) {
                return i / partitions;
            }
        }
        return -1;
    }

    /** The first offset with the partition's largest timestamp. */
    long maxTimestampOffset(int partition, int n) {
        int best = partition;
        for (int i = partition; i < n; i += partitions) {
            if (timestamp(i) > timestamp(best)) {
                best = i;
            }
        }
        return best / partitions;
    }

    /** How got differs from the record that must be at its place, or null. */
    String diff(Rec got) {
        Rec want = at(got.partition, got.offset);
        String where = "partition " + got.partition + " offset " + got.offset + ": ";
        if (has('t') && got.timestamp != want.timestamp) {
            return where + "timestamp " + got.timestamp + ", want " + want.timestamp;
        }
        if (!Arrays.equals(got.key, want.key)) {
            return where + "key " + show(got.key) + ", want " + show(want.key);
        }
        if (!Arrays.equals(got.value, want.value)) {
            return where + "value " + show(got.value) + ", want " + show(want.value);
        }
        if (!headerText(got).equals(headerText(want))) {
            return where + "headers " + headerText(got) + ", want " + headerText(want);
        }
        return null;
    }

    static String show(byte[] b) {
        return b == null ? "-" : HEX.formatHex(b);
    }

    private static String headerText(Rec r) {
        List<String> out = new ArrayList<>();
        for (Header h : r.headers) {
            out.add(h.key() + "=" + show(h.value()));
        }
        return String.join(",", out);
    }

    String fingerprint() {
        MessageDigest sum = sha256();
        for (int i = 0; i < 1000; i++) {
            Rec r = rec(i);
            String line = r.partition + " " + r.offset + " " + r.timestamp + " " + show(r.key) + " " + show(r.value)
                + " " + headerText(r) + "\n";
            sum.update(line.getBytes(StandardCharsets.US_ASCII));
        }
        return HEX.formatHex(sum.digest());
    }

    static void selftest() throws Exception {
        for (Map.Entry<String, String> e : FINGERPRINTS.entrySet()) {
            Driver.want("fingerprint of " + e.getKey(), new Dataset(e.getKey()).fingerprint(), e.getValue());
        }
    }
}
