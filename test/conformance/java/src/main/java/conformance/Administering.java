package conformance;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the admin client is asked to do. */
final class Administering {
    private final Driver d;
    private Admin admin;

    Administering(Driver d) {
        this.d = d;
    }

    void run() {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", d.bootstrap))) {
            admin = a;
            d.check("create-topic", this::create);
            d.check("create-topic-errors", this::createErrors);
            d.check("list-offsets", this::listOffsets);
            d.check("describe-configs", this::describeConfigs);
            d.check("describe-broker-configs", this::describeBrokerConfigs);
            d.check("alter-configs", this::alterConfigs);
            d.check("list-config-resources", this::listConfigResources);
            d.check("create-partitions", this::createPartitions);
            d.check("describe-cluster", this::describeCluster);
            d.check("topic-ids", this::topicIds);
            d.check("describe-producers", this::describeProducers);
            d.check("describe-log-dirs", this::describeLogDirs);
            d.check("delete-records", this::deleteRecords);
            d.check("delete-topic", this::deleteTopic);
        }
    }

    private void make(String topic, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), Optional.empty()))).all().get();
        Driver.soon(() -> describe(topic));
    }

    /** The ID of a topic that was just made: the next broker asked may not know it yet. */
    private Uuid idOf(String topic) throws Exception {
        Uuid[] id = new Uuid[1];
        Driver.soon(() -> id[0] = describe(topic).topicId());
        return id[0];
    }

    private TopicDescription describe(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private void create() throws Exception {
        String topic = d.topic("create");
        NewTopic t = new NewTopic(topic, Optional.of(3), Optional.empty()).configs(Map.of("segment.bytes", "12345678"));
        var made = admin.createTopics(List.of(t));
        Driver.want("partitions", made.numPartitions(topic).get(), 3);
        Driver.want("replication factor of 1 to 3", made.replicationFactor(topic).get() >= 1 && made.replicationFactor(topic).get() <= 3, true);
        Driver.want("config", made.config(topic).get().get("segment.bytes").value(), "12345678");
        Driver.soon(() -> describe(topic));
        TopicDescription seen = describe(topic);
        Driver.want("topic ID", seen.topicId(), made.topicId(topic).get());
        Driver.want("partitions described", seen.partitions().size(), 3);
        for (TopicPartitionInfo p : seen.partitions()) {
            Driver.want("ISR", p.isr(), p.replicas());
            Driver.want("leader", p.leader(), p.replicas().get(0));
        }
        Driver.want("listed", admin.listTopics().names().get().contains(topic), true);
        Driver.want("named", new TopicDescriptionNames(admin).has(topic), true);
    }

    /** A listing by IDs gives the same names. */
    private record TopicDescriptionNames(Admin admin) {
        boolean has(String topic) throws Exception {
            return admin.listTopics().listings().get().stream().anyMatch(l -> l.name().equals(topic) && !l.isInternal());
        }
    }

    private void createErrors() throws Exception {
        String topic = d.topic("exists");
        make(topic, 1);
        Driver.wantError(TopicExistsException.class, () -> make(topic, 1));
        Driver.wantError(InvalidPartitionsException.class, () -> make(d.topic("none"), 0));
        Driver.wantError(InvalidTopicException.class, () -> make("no spaces allowed", 1));
        Driver.wantError(InvalidReplicationFactorException.class,
            () -> admin.createTopics(List.of(new NewTopic(d.topic("five"), 1, (short) 5))).all().get());
        Driver.wantError(InvalidConfigurationException.class, () -> admin.createTopics(
            List.of(new NewTopic(d.topic("bad-config"), Optional.of(1), Optional.empty()).configs(Map.of("no.such.key", "1")))).all().get());
        Driver.wantError(UnknownTopicOrPartitionException.class, () -> describe(d.topic("none")));
    }

    private void listOffsets() throws Exception {
        Dataset t = Dataset.of(d.client, "none", Producing.PROFILE);
        long middle = Dataset.timestamp(d.records / 2);
        for (int p = 0; p < t.partitions; p++) {
            TopicPartition tp = new TopicPartition(t.name, p);
            Driver.want("earliest", offset(tp, OffsetSpec.earliest()).offset(), 0L);
            Driver.want("latest", offset(tp, OffsetSpec.latest()).offset(), t.count(p, d.records));
            Driver.want("by time", offset(tp, OffsetSpec.forTimestamp(middle)).offset(), t.firstAtOrAfter(p, middle, d.records));
            Driver.want("after the end", offset(tp, OffsetSpec.forTimestamp(Long.MAX_VALUE)).offset(), -1L);
            ListOffsetsResultInfo max = offset(tp, OffsetSpec.maxTimestamp());
            Driver.want("max timestamp", max.offset(), t.maxTimestampOffset(p, d.records));
            Driver.want("max timestamp", max.timestamp(), t.at(p, max.offset()).timestamp());
            Driver.want("earliest local", offset(tp, OffsetSpec.earliestLocal()).offset(), 0L);
            Driver.want("latest tiered", offset(tp, OffsetSpec.latestTiered()).offset(), -1L);
        }
    }

    private ListOffsetsResultInfo offset(TopicPartition tp, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get();
    }

    private static ConfigResource topicResource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private ConfigEntry config(ConfigResource r, String key) throws Exception {
        ConfigEntry e = admin.describeConfigs(List.of(r)).all().get().get(r).get(key);
        if (e == null) {
            throw new Exception(r + " has no " + key);
        }
        return e;
    }

    private void describeConfigs() throws Exception {
        ConfigResource r = topicResource(d.topic("create"));
        Driver.want("segment.bytes", config(r, "segment.bytes").value(), "12345678");
        Driver.want("source", config(r, "segment.bytes").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
        Driver.want("retention.ms", config(r, "retention.ms").value(), "604800000");
        Driver.want("source", config(r, "retention.ms").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG);
        Driver.want("type", config(r, "retention.ms").type(), ConfigEntry.ConfigType.LONG);
        Driver.wantError(UnknownTopicOrPartitionException.class, () -> config(topicResource(d.topic("none")), "x"));
    }

    private void describeBrokerConfigs() throws Exception {
        int node = admin.describeCluster().nodes().get().iterator().next().id();
        ConfigResource r = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node));
        Driver.want("message.max.bytes", config(r, "message.max.bytes").value(), "1048588");
        Driver.want("read-only", config(r, "message.max.bytes").isReadOnly(), false);
        Driver.want("log.dirs read-only", config(r, "log.dirs").isReadOnly(), true);
    }

    private void alter(ConfigResource r, String key, String value, AlterConfigOp.OpType op) throws Exception {
        admin.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry(key, value), op)))).all().get();
    }

    private void alterConfigs() throws Exception {
        String topic = d.topic("alter");
        make(topic, 1);
        ConfigResource r = topicResource(topic);
        alter(r, "retention.ms", "3600000", AlterConfigOp.OpType.SET);
        Driver.soon(() -> Driver.want("retention.ms", config(r, "retention.ms").value(), "3600000"));
        alter(r, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        Driver.soon(() -> Driver.want("cleanup.policy", config(r, "cleanup.policy").value(), "delete,compact"));
        alter(r, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
        Driver.soon(() -> Driver.want("cleanup.policy", config(r, "cleanup.policy").value(), "delete"));
        alter(r, "retention.ms", "", AlterConfigOp.OpType.DELETE);
        Driver.soon(() -> Driver.want("retention.ms", config(r, "retention.ms").value(), "604800000"));
        Driver.wantError(InvalidConfigurationException.class, () -> alter(r, "retention.ms", "many", AlterConfigOp.OpType.SET));
        Driver.wantError(InvalidConfigurationException.class, () -> alter(r, "no.such.key", "1", AlterConfigOp.OpType.SET));
        Driver.wantError(UnknownTopicOrPartitionException.class,
            () -> alter(topicResource(d.topic("none")), "retention.ms", "1", AlterConfigOp.OpType.SET));
    }

    private void listConfigResources() throws Exception {
        Collection<ConfigResource> all = admin.listConfigResources().all().get();
        Driver.want("has the topic with a config", all.contains(topicResource(d.topic("create"))), true);
    }

    private void createPartitions() throws Exception {
        String topic = d.topic("grow");
        make(topic, 1);
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        Driver.soon(() -> Driver.want("partitions", describe(topic).partitions().size(), 4));
        Driver.wantError(InvalidPartitionsException.class,
            () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        Driver.wantError(UnknownTopicOrPartitionException.class,
            () -> admin.createPartitions(Map.of(d.topic("none"), NewPartitions.increaseTo(2))).all().get());
    }

    private void describeCluster() throws Exception {
        DescribeClusterResult c = admin.describeCluster();
        Driver.want("cluster ID there", !c.clusterId().get().isEmpty(), true);
        Driver.want("controller is a node", c.nodes().get().contains(c.controller().get()), true);
        admin.describeFeatures().featureMetadata().get();
    }

    private void topicIds() throws Exception {
        String topic = d.topic("create");
        Uuid id = describe(topic).topicId();
        TopicDescription byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
        Driver.want("name by ID", byId.name(), topic);
        Driver.wantError(UnknownTopicIdException.class, () -> admin.describeTopics(
            TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
    }

    private void describeProducers() throws Exception {
        String topic = d.topic("producers");
        make(topic, 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> p = new Producing(d).producer()) {
            for (int i = 0; i < 5; i++) {
                p.send(new ProducerRecord<>(topic, new byte[1])).get();
            }
        }
        List<ProducerState> states = admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers();
        Driver.want("producers", states.size(), 1);
        Driver.want("last sequence", states.get(0).lastSequence(), 4);
    }

    private void describeLogDirs() throws Exception {
        List<Integer> nodes = new ArrayList<>();
        admin.describeCluster().nodes().get().forEach(n -> nodes.add(n.id()));
        TopicPartition tp = new TopicPartition(d.topic("create"), 0);
        Driver.soon(() -> {
            boolean found = admin.describeLogDirs(nodes).allDescriptions().get().values().stream()
                .flatMap(dirs -> dirs.values().stream()).anyMatch(dir -> dir.error() == null && dir.replicaInfos().containsKey(tp));
            Driver.want("a directory holds " + tp, found, true);
        });
    }

    private void deleteRecords() throws Exception {
        Dataset t = Dataset.of(d.client, "delrec", Producing.PROFILE);
        new Producing(d).produce(t, 300);
        TopicPartition p0 = new TopicPartition(t.name, 0);
        DeletedRecords got = admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(40))).lowWatermarks().get(p0).get();
        Driver.want("low watermark", got.lowWatermark(), 40L);
        Driver.want("earliest", offset(p0, OffsetSpec.earliest()).offset(), 40L);
        Driver.wantError(OffsetOutOfRangeException.class,
            () -> admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(1000))).all().get());
        TopicPartition p1 = new TopicPartition(t.name, 1);
        admin.deleteRecords(Map.of(p1, RecordsToDelete.beforeOffset(-1))).all().get();
        Driver.want("earliest of all deleted", offset(p1, OffsetSpec.earliest()).offset(), 100L);
    }

    private void deleteTopic() throws Exception {
        String topic = d.topic("delete");
        make(topic, 2);
        Uuid id = idOf(topic);
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        Driver.soon(() -> Driver.wantError(UnknownTopicOrPartitionException.class, () -> describe(topic)));
        Driver.wantError(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
        make(topic, 1);
        Driver.soon(() -> Driver.want("same ID", idOf(topic).equals(id), false));
    }
}
