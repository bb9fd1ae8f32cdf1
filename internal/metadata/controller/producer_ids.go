package controller

import (
	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// ProducerIDBlock is a range of producer IDs for one node to hand out.
type ProducerIDBlock struct {
	First model.ProducerID
	Count int64
}

// ProducerIDBlockSize is how many producer IDs a node gets at a time, as in Kafka.
const ProducerIDBlockSize = 1000

// AllocateProducerIDs gives the next block to a node. An ID is never given out twice: those of a node that stops
// before it used them are lost.
func AllocateProducerIDs(in Inputs, id model.BrokerID, epoch int64) ([]*command.Command, ProducerIDBlock, error) {
	if _, r := registered(in.Image, id, epoch); r != nil {
		return nil, ProducerIDBlock{}, r
	}
	b := ProducerIDBlock{First: in.Image.NextProducerID(), Count: ProducerIDBlockSize}
	return []*command.Command{command.ProducerIDs(&command.AllocateProducerIDs{NodeId: int32(id), NodeEpoch: epoch, First: int64(b.First), Count: b.Count})}, b, nil
}
