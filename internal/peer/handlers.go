package peer

import (
	"context"
	"net/netip"

	"chronik/internal/link"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// Caller is who makes a call. The link vouches for it.
type Caller struct {
	Node      model.BrokerID
	ClusterID string
	Version   link.Version // what both speak; answers keep to it
}

// Controller is what the active controller does for brokers. Errors of its methods are passed on as package peer's documentation lists them; on any other broker
// they are a *quorum.NotControllerError. An error that is none of these is passed on as an unknown outcome. The methods are called at the same
// time, each in a goroutine of its own, and end soon after their context.
type Controller interface {
	// Register registers an incarnation of the caller and returns its broker epoch.
	Register(context.Context, Caller, controller.Registration) (model.BrokerEpoch, error)
	// Heartbeat notes that the caller is alive.
	Heartbeat(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error)
	// AlterPartitions decides about ISR changes that the caller proposes, registered with that epoch. There is one answer for each, in order.
	AlterPartitions(context.Context, Caller, model.BrokerEpoch, []controller.ISRChange) ([]controller.AlteredPartition, error)
	// Resign has others lead what the caller cannot. There is one error, or nil, for each, in order.
	Resign(context.Context, Caller, model.BrokerEpoch, []controller.Resignation) ([]error, error)
	// AllocateProducerIDs gives the caller a block of producer IDs.
	AllocateProducerIDs(context.Context, Caller, model.BrokerEpoch) (controller.ProducerIDBlock, error)
	// Join takes the caller into the metadata quorum.
	Join(context.Context, Caller, JoinRequest) error
}

// Forwarder answers clients' requests that another broker has passed on.
type Forwarder interface {
	Forward(context.Context, Caller, ClientRequest) (response []byte, err error)
}

// Transactor answers what brokers ask each other: about transactions Kafka's WriteTxnMarkers, and AddPartitionsToTxn of several transactions; about share
// partitions their state's requests and ListOffsets. The origin of the request is the caller.
type Transactor interface {
	Transact(context.Context, Caller, ClientRequest) (response []byte, err error)
}

// Informant says what every broker knows.
type Informant interface {
	// Possession is what this broker has.
	Possession() Possession
	// ActiveController is who this broker believes to be the active controller.
	ActiveController() ControllerInfo
}

// Handlers answer calls. Where one is nil, calls are answered with ErrUnsupported.
type Handlers struct {
	Controller Controller
	Forwarder  Forwarder
	Informant  Informant
	Transactor Transactor
}

// JoinRequest asks to be taken into the metadata quorum: as a learner, and if it is to Vote, as a voter when it has caught up. To join again changes
// nothing.
type JoinRequest struct {
	Directory image.UUID
	Address   string // where the joining broker listens for others, host:port
	Vote      bool
}

// ClientRequest is a client's request, as another broker got it.
type ClientRequest struct {
	APIKey     int16
	APIVersion int16
	ClientID   *string
	Body       []byte // what follows the header; may be used until Forward returns
	Origin     Origin
}

// Origin is who has made a request, as the broker knows that was asked. It is believed: a broker that has proved itself speaks for its clients.
type Origin struct {
	Principal Principal
	Address   netip.AddrPort // not valid: it has none, as within a process
	Listener  string         // that it came in by
}

// Principal is as whom a client was authenticated. The zero value is nobody.
type Principal struct {
	Type, Name string // both or none, as "User" and "alice"
	ByToken    bool   // by a delegation token, which is good for no further one (KIP-48)
}

// Possession is what a broker has (M5).
type Possession struct {
	Node      model.BrokerID
	Directory image.UUID
	ClusterID string // empty: no data, and no cluster
	Member    bool   // its metadata log names it as a voter or a learner
	Voters    []Member
}

// Empty tells whether the broker has nothing: it can become part of any cluster.
func (p *Possession) Empty() bool { return p.ClusterID == "" }

// Member is a replica of the metadata log and where it listens for other brokers; Address may be empty.
type Member struct {
	quorum.Replica
	Address string
}

// ControllerInfo is who the active controller is, as far as a broker knows.
type ControllerInfo struct {
	Leader  model.BrokerID // model.NoBroker: not known
	Term    uint64
	Active  bool // it is the broker that says so, and it may decide
	Address string
}
