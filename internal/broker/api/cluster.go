package api

import (
	"context"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// Cluster is what the handlers need besides if there may be other brokers. A broker alone decides for itself.
type Cluster struct {
	// Forwarder reaches the active controller.
	Forwarder Forwarder
	// ProducerIDs gets a block of producer IDs for this broker from the active controller.
	ProducerIDs func(context.Context) (controller.ProducerIDBlock, error)
	// Transact has another broker answer what this one asks about transactions or share partitions, and returns the body of the response; there Broker.Transact answers.
	Transact func(context.Context, model.BrokerID, Forwarded) ([]byte, error)
	// Controller is who this broker believes to be the active controller; model.NoBroker: nobody.
	Controller func() model.BrokerID
	// Withdrawn tells that this broker has withdrawn from what it leads, see replica.Set.Withdraw: clients are not sent to it.
	Withdrawn func() bool
	// Quorum is this broker's replica of the metadata log.
	Quorum Quorum
	// Inputs is what decisions depend on, while this broker is the active controller.
	Inputs func(*image.Image) controller.Inputs
}

// Forwarder has the active controller answer a client's request, whichever broker that is, this one included.
type Forwarder interface {
	// Forward returns the body of the response. It keeps on asking until a controller has decided or the context ends. The error is the
	// context's or wraps quorum.ErrNotController, if nothing has changed; it wraps quorum.ErrUnknownOutcome, if the request may have
	// been done, or may yet be.
	Forward(context.Context, Forwarded) (response []byte, err error)
}

// Forwarded is a client's request as it is passed on.
type Forwarded struct {
	Key, Version int16
	ClientID     string
	Origin       Origin
	Body         []byte // what follows the header
}

// Quorum is the metadata quorum as its members see it. It may be changed on the active controller only: elsewhere the errors wrap
// quorum.ErrNotController.
type Quorum interface {
	Status(context.Context) (quorum.Status, error)
	// Admit makes a replica a voter as soon as it has caught up.
	Admit(context.Context, quorum.Replica) error
	// Remove takes out a replica, but not the active controller itself.
	Remove(context.Context, quorum.Replica) error
	// TransferTo has another voter become the active controller, and returns when it is.
	TransferTo(context.Context, model.BrokerID) error
}
