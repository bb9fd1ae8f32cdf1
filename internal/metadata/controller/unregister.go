package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// UnregisterBroker decides to forget a node that is gone for good, whatever replicas it has. It leaves every ISR and
// ELR. It is refused while it is in service, and while a partition would have nobody left who is known to hold all that was acknowledged.
func UnregisterBroker(in Inputs, id model.BrokerID) ([]*command.Command, error) {
	n := in.Image.Node(id)
	if n == nil {
		return nil, refuse(UnknownBroker, "Broker ID %d is not currently registered", id)
	}
	if !n.Fenced {
		return nil, refuse(InvalidRequest, "Broker %d is in service: stop it first.", id)
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, err
	}
	roster.gone(id)
	out, alone := newChanges(), 0
	var example model.TopicPartition
	each(in.Image, func(t *image.Topic, number int32, p *image.Partition) {
		if !slices.Contains(p.ISR, id) && !slices.Contains(p.ELR, id) {
			return
		}
		v := roster.revise(t, number)
		v.lost = []model.BrokerID{id}
		out.add(v)
		if len(v.next.ISR)+len(v.next.ELR) > 0 && !v.lossy {
			return
		}
		if tp := (model.TopicPartition{Topic: t.Name, Partition: number}); alone == 0 || tp.Compare(example) < 0 {
			example = tp
		}
		alone++
	})
	if alone > 0 {
		return nil, refuse(InvalidRequest, "Broker %d alone holds all records of %d partition(s), %s for one: start it again, or delete these topics, or accept the "+
			"loss by an unclean election.", id, alone, example)
	}
	return append(out.commands(), command.Remove(id, n.Epoch)), nil
}
