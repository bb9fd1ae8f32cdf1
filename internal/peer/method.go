package peer

import (
	"fmt"
	"time"

	"chronik/internal/link"
)

// Method is what a call asks for. The numbers are on the wire.
type Method uint16

// The methods.
const (
	Probe               Method = 1
	FindController      Method = 2
	Join                Method = 3
	Register            Method = 4
	Heartbeat           Method = 5
	AlterPartitions     Method = 6
	Resign              Method = 7
	AllocateProducerIDs Method = 8
	Forward             Method = 9
	Transact            Method = 10
)

// rules are what holds for the calls of one method.
type rules struct {
	name  string
	since link.Version // of the protocol between brokers
	// repeatable: to do it twice is as good as once, so a call whose outcome is unknown is made again.
	repeatable bool
	// patience is how long one broker may take for it before another is asked; 0: as long as the call may. Only what is repeatable has it.
	patience time.Duration
	lane     lane
	maxBody  int // of the request, in bytes
	stranger bool
}

// lane keeps apart what must not wait for each other: each has its own link and its own bounds.
type lane uint8

const (
	urgent       lane = iota // small; leadership depends on it
	bulk                     // clients' requests
	coordination             // what transactions and share groups wait for
	lanes
)

const (
	smallBody = 8 << 20
	largeBody = 100<<20 + 64<<10 // a client's largest request, and what is wrapped around it
)

// methods is everything that can be called. What repeatable rests on: a second Registration of an incarnation changes nothing, nor does a second
// Join; a block of producer IDs that nobody gets is lost and no harm. AlterPartitions and Resign are compare-and-set: nothing is done twice,
// but the second answer would deny what the first has done, so their callers learn the outcome from the metadata. What Forward does is not known here.
// Transact's callers know what may be repeated: a marker that is there twice says nothing new, a share partition that begins twice may.
var methods = map[Method]rules{
	Probe:               {name: "Probe", since: 1, repeatable: true, maxBody: smallBody, stranger: true},
	FindController:      {name: "FindController", since: 1, repeatable: true, maxBody: smallBody},
	Join:                {name: "Join", since: 1, repeatable: true, maxBody: smallBody},
	Register:            {name: "Register", since: 1, repeatable: true, maxBody: smallBody},
	Heartbeat:           {name: "Heartbeat", since: 1, repeatable: true, patience: 200 * time.Millisecond, maxBody: smallBody},
	AlterPartitions:     {name: "AlterPartitions", since: 1, maxBody: smallBody},
	Resign:              {name: "Resign", since: 1, maxBody: smallBody},
	AllocateProducerIDs: {name: "AllocateProducerIDs", since: 1, repeatable: true, maxBody: smallBody},
	Forward:             {name: "Forward", since: 1, lane: bulk, maxBody: largeBody},
	Transact:            {name: "Transact", since: 1, lane: coordination, maxBody: smallBody},
}

// String names the method for log lines.
func (m Method) String() string {
	if r, ok := methods[m]; ok {
		return r.name
	}
	return fmt.Sprintf("Method(%d)", uint16(m))
}
