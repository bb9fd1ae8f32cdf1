package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

func describe(c *nodetest.Client, version int16, kind kmsg.ConfigResourceType, name string, keys ...string) kmsg.DescribeConfigsResponseResource {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	return do[*kmsg.DescribeConfigsResponse](c, version, req).Resources[0]
}

func alterOne(c *nodetest.Client, kind kmsg.ConfigResourceType, name, key string, op kmsg.IncrementalAlterConfigOp, value *string) int16 {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	cfg.Name, cfg.Op, cfg.Value = key, op, value
	r.Configs = append(r.Configs, cfg)
	req.Resources = append(req.Resources, r)
	return do[*kmsg.IncrementalAlterConfigsResponse](c, 1, req).Resources[0].ErrorCode
}

func replaceAll(c *nodetest.Client, version int16, topic string, validateOnly bool, configs ...string) int16 {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for i := 0; i < len(configs); i += 2 {
		cfg := kmsg.NewAlterConfigsRequestResourceConfig()
		cfg.Name, cfg.Value = configs[i], &configs[i+1]
		r.Configs = append(r.Configs, cfg)
	}
	req.Resources = append(req.Resources, r)
	return do[*kmsg.AlterConfigsResponse](c, version, req).Resources[0].ErrorCode
}

const (
	topicResource  = kmsg.ConfigResourceTypeTopic
	brokerResource = kmsg.ConfigResourceTypeBroker
	groupResource  = kmsg.ConfigResourceTypeGroupConfig
	set            = kmsg.IncrementalAlterConfigOpSet
)

func TestDescribeConfigs(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"log.segment.bytes": "2000000"}}).Client()
	createTopic(t, c, "t", 1, "retention.ms", "77")
	for v := int16(1); v <= 4; v++ {
		got := describe(c, v, topicResource, "t", "retention.ms", "segment.bytes", "cleanup.policy")
		if got.ErrorCode != 0 || len(got.Configs) != 3 {
			t.Fatalf("v%d: %+v", v, got)
		}
		for _, e := range got.Configs {
			want := map[string]string{"retention.ms": "77", "segment.bytes": "2000000", "cleanup.policy": "delete"}[e.Name]
			source := map[string]kmsg.ConfigSource{"retention.ms": kmsg.ConfigSourceDynamicTopicConfig,
				"segment.bytes": kmsg.ConfigSourceStaticBrokerConfig, "cleanup.policy": kmsg.ConfigSourceDefaultConfig}[e.Name]
			if e.Value == nil || *e.Value != want || e.Source != source || len(e.ConfigSynonyms) == 0 {
				t.Errorf("v%d: %+v, want %s from %v", v, e, want, source)
			}
			if v >= 3 && (e.ConfigType == 0 || e.Documentation == nil || *e.Documentation == "") {
				t.Errorf("v%d: %s has no type or no documentation", v, e.Name)
			}
		}
	}
	for _, tc := range []struct {
		name     string
		kind     kmsg.ConfigResourceType
		resource string
		want     *kerr.Error
	}{
		{"all of a topic", topicResource, "t", nil},
		{"unknown topic", topicResource, "none", kerr.UnknownTopicOrPartition},
		{"bad topic name", topicResource, "a/b", kerr.InvalidTopicException},
		{"this broker", brokerResource, "1", nil},
		{"all brokers", brokerResource, "", nil},
		{"another broker", brokerResource, "2", kerr.InvalidRequest},
		{"no broker", brokerResource, "one", kerr.InvalidRequest},
		{"no such type", 99, "x", kerr.InvalidRequest},
	} {
		got := describe(c, 4, tc.kind, tc.resource)
		wantCode(t, tc.name, got.ErrorCode, tc.want)
		if tc.want != nil && (got.ErrorMessage == nil || len(got.Configs) > 0) {
			t.Errorf("%s: the refusal is %+v", tc.name, got)
		}
		if tc.want == nil && tc.resource != "" && len(got.Configs) < 20 {
			t.Errorf("%s: only %d configs", tc.name, len(got.Configs))
		}
	}
}

func valueOf(t *testing.T, c *nodetest.Client, kind kmsg.ConfigResourceType, name, key string) string {
	t.Helper()
	got := describe(c, 4, kind, name, key)
	if len(got.Configs) != 1 || got.Configs[0].Value == nil {
		t.Fatalf("%s of %q: %+v", key, name, got)
	}
	return *got.Configs[0].Value
}

func TestIncrementalAlterConfigs(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	createTopic(t, c, "t", 1)
	str := kmsg.StringPtr
	for _, tc := range []struct {
		name, resource, key string
		kind                kmsg.ConfigResourceType
		op                  kmsg.IncrementalAlterConfigOp
		value               *string
		want                *kerr.Error
		then                string // the value afterwards, if not empty
	}{
		{"set", "t", "retention.ms", topicResource, set, str("55"), nil, "55"},
		{"bad value", "t", "retention.ms", topicResource, set, str("x"), kerr.InvalidConfig, "55"},
		{"null", "t", "retention.ms", topicResource, set, nil, kerr.InvalidRequest, "55"},
		{"delete", "t", "retention.ms", topicResource, kmsg.IncrementalAlterConfigOpDelete, nil, nil, "604800000"},
		{"append", "t", "cleanup.policy", topicResource, kmsg.IncrementalAlterConfigOpAppend, str("compact"), nil, "delete,compact"},
		{"subtract", "t", "cleanup.policy", topicResource, kmsg.IncrementalAlterConfigOpSubtract, str("delete"), nil, "compact"},
		{"append to what is no list", "t", "retention.ms", topicResource, kmsg.IncrementalAlterConfigOpAppend, str("1"), kerr.InvalidConfig, ""},
		{"unknown key", "t", "no.such.key", topicResource, set, str("1"), kerr.InvalidConfig, ""},
		{"unknown topic", "none", "retention.ms", topicResource, set, str("1"), kerr.UnknownTopicOrPartition, ""},
		{"no such type", "t", "x", 99, set, str("1"), kerr.InvalidRequest, ""},
		{"all brokers", "", "log.retention.ms", brokerResource, set, str("99"), nil, ""},
		{"this broker", "1", "log.retention.ms", brokerResource, set, str("88"), nil, "88"},
		{"a static key", "1", "node.id", brokerResource, set, str("5"), kerr.InvalidRequest, ""},
	} {
		wantCode(t, tc.name, alterOne(c, tc.kind, tc.resource, tc.key, tc.op, tc.value), tc.want)
		if tc.then != "" {
			if got := valueOf(t, c, tc.kind, tc.resource, tc.key); got != tc.then {
				t.Errorf("%s: the value is %s afterwards, want %s", tc.name, got, tc.then)
			}
		}
	}
	if got := valueOf(t, c, topicResource, "t", "retention.ms"); got != "88" {
		t.Errorf("the topic inherits %s, want the broker's 88", got)
	}
	after := b.Restart().Client()
	if got := valueOf(t, after, topicResource, "t", "cleanup.policy"); got != "compact" {
		t.Errorf("after a restart cleanup.policy is %s, want compact", got)
	}
}

func TestAlterConfigs(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1, "retention.ms", "5", "segment.bytes", "2000000")
	for v := int16(0); v <= 2; v++ {
		wantCode(t, "validate only", replaceAll(c, v, "t", true, "retention.bytes", "9"), nil)
		wantCode(t, "bad value", replaceAll(c, v, "t", false, "retention.ms", "x"), kerr.InvalidConfig)
		wantCode(t, "unknown topic", replaceAll(c, v, "none", false), kerr.UnknownTopicOrPartition)
	}
	if got := valueOf(t, c, topicResource, "t", "retention.ms"); got != "5" {
		t.Errorf("retention.ms is %s, want the 5 that nobody changed", got)
	}
	wantCode(t, "replace", replaceAll(c, 2, "t", false, "segment.bytes", "3000000"), nil)
	if got := valueOf(t, c, topicResource, "t", "retention.ms"); got != "604800000" {
		t.Errorf("retention.ms is %s after it was left out, want the default", got)
	}
	if got := valueOf(t, c, topicResource, "t", "segment.bytes"); got != "3000000" {
		t.Errorf("segment.bytes is %s, want 3000000", got)
	}
}

func TestListConfigResources(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	list := func(version int16, types ...int8) *kmsg.ListConfigResourcesResponse {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = types
		return do[*kmsg.ListConfigResourcesResponse](c, version, req)
	}
	for _, tc := range []struct {
		version int16
		types   []int8
		want    int
	}{{0, nil, 0}, {1, nil, 3}, {1, []int8{2}, 1}, {1, []int8{4}, 1}, {1, []int8{8}, 1}, {1, []int8{16, 32}, 0}, {1, []int8{2, 4}, 2}} {
		if got := list(tc.version, tc.types...); got.ErrorCode != 0 || len(got.ConfigResources) != tc.want {
			t.Errorf("v%d, types %v: %+v, want %d resources", tc.version, tc.types, got, tc.want)
		}
	}
	wantCode(t, "an unknown type", list(1, 99).ErrorCode, kerr.UnsupportedVersion)
	wantCode(t, "set", alterOne(c, groupResource, "g", "share.delivery.count.limit", set, kmsg.StringPtr("7")), nil)
	if got := list(1, 32); len(got.ConfigResources) != 1 || got.ConfigResources[0].Name != "g" || got.ConfigResources[0].Type != 32 {
		t.Errorf("groups that have values: %+v, want g", got.ConfigResources)
	}
	wantCode(t, "delete", alterOne(c, groupResource, "g", "share.delivery.count.limit", kmsg.IncrementalAlterConfigOpDelete, nil), nil)
	if got := list(1, 32); len(got.ConfigResources) != 0 {
		t.Errorf("groups that have values: %+v, want none", got.ConfigResources)
	}
}

// A group's values need no group: they are there when it comes.
func TestGroupConfigs(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"group.consumer.max.session.timeout.ms": "50000"}})
	c := b.Client()
	const key = "consumer.session.timeout.ms"
	str := kmsg.StringPtr
	source := func(want kmsg.ConfigSource, value string, synonyms int) {
		t.Helper()
		got := describe(c, 4, groupResource, "g", key)
		if len(got.Configs) != 1 || *got.Configs[0].Value != value || got.Configs[0].Source != want || len(got.Configs[0].ConfigSynonyms) != synonyms {
			t.Errorf("%+v, want %s from %v and %d synonyms", got, value, want, synonyms)
		}
	}
	source(kmsg.ConfigSourceDefaultConfig, "45000", 1)
	wantCode(t, "set", alterOne(c, groupResource, "g", key, set, str("48000")), nil)
	source(kmsg.ConfigSourceGroupConfig, "48000", 2)
	wantCode(t, "above the broker's bound", alterOne(c, groupResource, "g", key, set, str("50001")), kerr.InvalidConfig)
	wantCode(t, "unknown key", alterOne(c, groupResource, "g", "retention.ms", set, str("1")), kerr.InvalidConfig)
	wantCode(t, "no name", alterOne(c, groupResource, "", key, set, str("48000")), kerr.InvalidRequest)
	wantCode(t, "nobody's", describe(c, 4, groupResource, "").ErrorCode, kerr.InvalidRequest)
	if got := describe(c, 4, groupResource, "other"); len(got.Configs) != 17 {
		t.Errorf("a group has %d keys, want 17", len(got.Configs))
	}
	c = b.Restart().Client()
	source(kmsg.ConfigSourceGroupConfig, "48000", 2)
	wantCode(t, "delete", alterOne(c, groupResource, "g", key, kmsg.IncrementalAlterConfigOpDelete, nil), nil)
	source(kmsg.ConfigSourceDefaultConfig, "45000", 1)
}
