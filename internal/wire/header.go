package wire

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is the header of a request.
type Header struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // empty if it was null, as Kafka has it
}

// ParseRequestHeader reads the header of a frame (a request without its size prefix) in the header version that the API
// key and version ask for: 1, or 2 with tagged fields, which are skipped. body aliases frame. With an Interner it
// allocates nothing for a client ID that it has seen; in may be nil.
//
// Whether the version is supported is for Table.Check. Of a newer ApiVersions than kmsg knows, which Kafka answers all
// the same, body is what follows the client ID. Errors wrap ErrMalformed or ErrUnknownAPI; then h holds as much as could
// be read, for the log.
func ParseRequestHeader(frame []byte, in *Interner) (h Header, body []byte, err error) {
	r := reader{buf: frame}
	h.Key, h.Version, h.CorrelationID = r.int16(), r.int16(), r.int32()
	if r.bad {
		return h, nil, fmt.Errorf("%w: a frame of %d bytes is too short for a request header", ErrMalformed, len(frame))
	}
	flexible, known := requestFlexible(h.Key, h.Version)
	if !known {
		return h, nil, fmt.Errorf("%w %d", ErrUnknownAPI, h.Key)
	}
	if n := r.int16(); n >= 0 {
		h.ClientID = in.String(r.span(int(n)))
	} else if n != -1 {
		r.fail()
	}
	if flexible {
		r.skipTags()
	}
	if r.bad {
		return h, nil, fmt.Errorf("%w: the header of API key %d, version %d, is damaged", ErrMalformed, h.Key, h.Version)
	}
	return h, r.buf, nil
}

// neverFlexible is above all versions.
const neverFlexible = 1<<15 - 1

// flexibleFrom[key] is the first flexible version (KIP-482) of an API, 0 if there is no such API and otherwise stored
// plus one.
var flexibleFrom = func() (from [128]int32) {
	for key := range from {
		req := kmsg.RequestForKey(int16(key))
		if req == nil {
			continue
		}
		from[key] = neverFlexible + 1
		for v := int16(0); v <= req.MaxVersion(); v++ {
			if req.SetVersion(v); req.IsFlexible() {
				from[key] = int32(v) + 1
				break
			}
		}
	}
	return from
}()

// requestFlexible tells whether a request has header version 2. kmsg calls flexible a SaslHandshake never, and every
// version above the last known as its newest.
func requestFlexible(key, version int16) (flexible, known bool) {
	if key < 0 || int(key) >= len(flexibleFrom) || flexibleFrom[key] == 0 {
		return false, false
	}
	if key == KeyApiVersions && version > apiVersionsMax {
		return false, true // the version is not ours to parse; the client ID stands where it always does
	}
	return int32(version) >= flexibleFrom[key]-1, true
}

var apiVersionsMax = kmsg.NewPtrApiVersionsRequest().MaxVersion()
