package conformance;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;

/** What consumers do in groups of the classic protocol, and tools to groups. */
final class Grouping {
    private final Driver d;
    private final Dataset data;
    private Admin admin;

    Grouping(Driver d, Dataset data) {
        this.d = d;
        this.data = data;
    }

    void run() {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", d.bootstrap))) {
            admin = a;
            for (String assignor : List.of("Range", "CooperativeSticky")) {
                String name = "org.apache.kafka.clients.consumer." + assignor + "Assignor";
                d.check("group-resume/" + assignor, () -> resume("resume-" + assignor, "partition.assignment.strategy", name));
                d.check("group-two-members/" + assignor, () -> twoMembers("two-" + assignor, "partition.assignment.strategy", name));
            }
            d.check("group-resume/static", () -> resume("static", "group.instance.id", "one"));
            d.check("group-static-removed", this::removeStatic);
            d.check("group-pushed-out", this::pushedOut);
            d.check("group-admin", this::admin);
        }
    }

    private String group(String purpose) {
        return "group-" + d.client + "-" + purpose;
    }

    private KafkaConsumer<byte[], byte[]> member(String group, String... settings) {
        List<String> all = new ArrayList<>(List.of("group.id", group, "group.protocol", "classic", "max.poll.records", "500",
            "heartbeat.interval.ms", "300"));
        all.addAll(List.of(settings));
        KafkaConsumer<byte[], byte[]> c = d.consumer(all.toArray(new String[0]));
        c.subscribe(List.of(data.name));
        return c;
    }

    /** A second member goes on where the first one has committed. */
    private void resume(String purpose, String... settings) throws Exception {
        long[] next = new long[data.partitions];
        int taken = 0;
        for (int until : new int[] {d.records / 3, d.records}) {
            try (KafkaConsumer<byte[], byte[]> c = member(group(purpose), settings)) {
                while (taken < until) {
                    for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) {
                        Driver.want("next offset of partition " + r.partition(), r.offset(), next[r.partition()]++);
                        String diff = data.diff(Driver.rec(r));
                        if (diff != null) {
                            throw new Exception(diff);
                        }
                        taken++;
                    }
                }
                c.commitSync();
            }
        }
        for (int p = 0; p < data.partitions; p++) {
            Driver.want("end of partition " + p, next[p], data.count(p, d.records));
        }
    }

    /** Two members share the partitions, and when one leaves the other takes over. */
    private void twoMembers(String purpose, String... settings) throws Exception {
        try (KafkaConsumer<byte[], byte[]> first = member(group(purpose), settings)) {
            try (KafkaConsumer<byte[], byte[]> second = member(group(purpose), settings)) {
                until("both have partitions", () -> {
                    first.poll(Duration.ofMillis(20));
                    second.poll(Duration.ofMillis(20));
                    Set<TopicPartition> all = new HashSet<>(first.assignment());
                    all.addAll(second.assignment());
                    int both = first.assignment().size() + second.assignment().size();
                    return !first.assignment().isEmpty() && !second.assignment().isEmpty() && all.size() == data.partitions && both == data.partitions;
                });
                ConsumerGroupDescription g = admin.describeConsumerGroups(List.of(group(purpose))).all().get().get(group(purpose));
                Driver.want("members", g.members().size(), 2);
                Driver.want("state", g.groupState(), GroupState.STABLE);
            }
            until("the first has all partitions", () -> {
                first.poll(Duration.ofMillis(20));
                return first.assignment().size() == data.partitions;
            });
        }
    }

    private interface Look {
        boolean there() throws Exception;
    }

    private static void until(String what, Look look) throws Exception {
        for (long end = System.nanoTime() + Duration.ofSeconds(30).toNanos(); !look.there(); ) {
            if (System.nanoTime() > end) {
                throw new Exception("it never came true that " + what);
            }
        }
    }

    /** A static member stays in the group when it stops, until somebody removes it. */
    private void removeStatic() throws Exception {
        String group = group("static");
        Driver.want("members", admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), 1);
        Driver.wantError(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all().get();
        Driver.want("state", admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState(), GroupState.EMPTY);
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    /** A member that was removed cannot commit any more. */
    private void pushedOut() throws Exception {
        String group = group("pushed");
        try (KafkaConsumer<byte[], byte[]> c = member(group, "group.instance.id", "one", "heartbeat.interval.ms", "5000", "session.timeout.ms", "30000")) {
            until("it has read something to commit", () -> !c.poll(Duration.ofMillis(20)).isEmpty());
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all().get();
            Map<TopicPartition, OffsetAndMetadata> one = Map.of(Driver.partitions(data).get(0), new OffsetAndMetadata(1));
            Driver.wantError(CommitFailedException.class, () -> c.commitSync(one));
        }
    }

    private void admin() throws Exception {
        String group = group("admin");
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition tp : Driver.partitions(data)) {
            offsets.put(tp, new OffsetAndMetadata(tp.partition() + 1, "a note"));
        }
        admin.alterConsumerGroupOffsets(group, offsets).all().get();
        Driver.want("offsets", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), offsets);
        GroupListing found = null;
        for (GroupListing l : admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))).all().get()) {
            found = l.groupId().equals(group) ? l : found;
        }
        Driver.want("listed", found != null && found.isSimpleConsumerGroup(), true);
        TopicPartition first = Driver.partitions(data).get(0);
        admin.deleteConsumerGroupOffsets(group, Set.of(first)).all().get();
        offsets.remove(first);
        Driver.want("offsets without one", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), offsets);
        admin.deleteConsumerGroups(List.of(group)).all().get();
        Driver.wantError(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        Driver.wantError(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get());
    }
}
