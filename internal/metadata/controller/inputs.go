package controller

import (
	"fmt"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// MaxPartitionsPerRequest bounds what one request may create, and with it the size of one entry of the log.
const MaxPartitionsPerRequest = 50_000

// Inputs is everything that decisions depend on beside the request.
type Inputs struct {
	Image      *image.Image
	Static     map[string]string // this node's static broker keys (config.Server.StaticKeys)
	NodeID     model.BrokerID    // this node
	NewTopicID func() model.TopicID

	// Features are the levels that this program supports, by name; nil: those of the metadata alone.
	Features []image.FeatureRange
	// Live tells whether a node's present registration has an unexpired session (Sessions.Live); nil: none has.
	Live func(model.BrokerID) bool
	// LogEnd tells how far the log of a replica goes, if its node has said so: an unclean election chooses
	// the longest; nil: nobody has.
	LogEnd func(model.TopicID, int32, model.BrokerID) (LogEnd, bool)
}

// LogEnd orders logs by what they hold: a later last epoch, then a later end.
type LogEnd struct {
	Epoch model.LeaderEpoch // of the last batch
	End   model.Offset      // log end offset
}

// settings are the broker keys in effect and the configuration of a topic without values of its own.
type settings struct {
	broker *config.Broker
	topic  *config.Topic
	layers config.Layers
}

func (in Inputs) settings() (settings, error) {
	l := in.Image.Layers(in.Static, in.NodeID)
	b, err := l.Broker()
	if err != nil {
		return settings{}, fmt.Errorf("the broker's configuration: %w", err)
	}
	t, err := l.Topic()
	if err != nil {
		return settings{}, fmt.Errorf("the topics' default configuration: %w", err)
	}
	return settings{b, t, l}, nil
}

// checkTopicName says in Kafka's words what is wrong with a name.
func checkTopicName(name string) *Refusal {
	if model.CheckTopicName(name) == nil {
		return nil
	}
	switch {
	case name == "":
		return refuse(InvalidTopic, "Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return refuse(InvalidTopic, "Topic name is invalid: '%s' is not allowed", name)
	case len(name) > model.MaxTopicName:
		return refuse(InvalidTopic, "Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, model.MaxTopicName)
	}
	return refuse(InvalidTopic, "Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
}
