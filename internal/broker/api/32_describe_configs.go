package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/config"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// DescribeConfigs (32), versions 1 to 4: the effective values of topics, brokers and groups, where each comes from and what
// it would fall back to. Version 3 adds types and documentation (KIP-569).
func (b *Broker) describeConfigs(_ context.Context, _ *server.Request, req *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		entries, err := b.describe(r)
		out.ErrorCode, out.ErrorMessage = Code(err), message(err)
		for _, e := range entries {
			if len(r.ConfigNames) == 0 || slices.Contains(r.ConfigNames, e.Key.Name) {
				out.Configs = append(out.Configs, describedConfig(&e, req))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

func (b *Broker) describe(r *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	im := b.image()
	layers := im.Layers(b.Static, b.NodeID)
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := model.CheckTopicName(r.ResourceName); err != nil {
			return nil, err
		}
		t := im.Topic(r.ResourceName)
		if t == nil {
			return nil, errUnknownTopic
		}
		return layers.DescribeTopic(t.Configs)
	case kmsg.ConfigResourceTypeBroker:
		if r.ResourceName == "" {
			return layers.DescribeClusterDefault()
		}
		if err := b.checkItself(r.ResourceName); err != nil {
			return nil, err
		}
		return layers.DescribeBroker()
	case kmsg.ConfigResourceTypeBrokerLogger:
		return nil, b.checkItself(r.ResourceName) // there is one log level, and log-level sets it at start
	case kmsg.ConfigResourceTypeGroupConfig:
		if r.ResourceName == "" {
			return nil, &controller.Refusal{Reason: controller.InvalidRequest, Message: "Group name must not be empty"}
		}
		return layers.DescribeGroup(im.GroupConfigs(r.ResourceName))
	case kmsg.ConfigResourceTypeClientMetrics:
		return nil, nil // known to Kafka, and empty here
	}
	return nil, errInvalidRequest
}

// checkItself refuses the name of any broker but this one: only it knows its static values.
func (b *Broker) checkItself(name string) error {
	id, refusal := controller.ParseBroker(name)
	if refusal != nil {
		return refusal
	}
	if id != b.NodeID {
		return errOtherBroker
	}
	return nil
}

func describedConfig(e *config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.IsSensitive = e.Key.Name, entryValue(e.Value, e.IsNull), e.ReadOnly, e.Sensitive
	out.Source, out.IsDefault = kmsg.ConfigSource(e.Source), e.Source == config.SourceDefault
	out.ConfigType = kmsg.ConfigType(e.Key.Type)
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = s.Name, entryValue(s.Value, s.IsNull), kmsg.ConfigSource(s.Source)
			out.ConfigSynonyms = append(out.ConfigSynonyms, syn)
		}
	}
	if req.IncludeDocumentation {
		out.Documentation = &e.Key.Doc
	}
	return out
}

// entryValue is a value as the wire has it: null where there is none or it must not be shown.
func entryValue(value string, null bool) *string {
	if null {
		return nil
	}
	return &value
}
