package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrResponseTooLarge: a response longer than its size field can say.
var ErrResponseTooLarge = errors.New("response is too large")

const sizePrefix = 4

// AppendResponse appends a whole response frame to dst: size, header version 0 or 1, body in the version that resp is
// set to. ApiVersions has header version 0 in all its versions, because a client reads it before it knows better.
// Fetch has its own way, FetchResponse; kmsg's is encoded here like any other.
func AppendResponse(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendResponseHeader(dst, correlationID, responseFlexible(resp))
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-sizePrefix))
	return dst
}

// UnsupportedApiVersions is the answer to an ApiVersions request of a version that the table does not have: version 0,
// with UNSUPPORTED_VERSION and what is supported, so that the client can ask again (KIP-511).
func UnsupportedApiVersions(t *Table) *kmsg.ApiVersionsResponse {
	const unsupportedVersion = 35
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = 0
	resp.ErrorCode = unsupportedVersion
	if e := t.entry(KeyApiVersions); e != nil {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = e.Key, e.Min, e.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}

func responseFlexible(resp kmsg.Response) bool {
	return resp.IsFlexible() && resp.Key() != KeyApiVersions
}

func appendResponseHeader(dst []byte, correlationID int32, flexible bool) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if flexible {
		dst = append(dst, 0) // no tagged fields
	}
	return dst
}

func checkFrameSize(n int64) error {
	if n > math.MaxInt32 {
		return fmt.Errorf("%w: %d bytes", ErrResponseTooLarge, n)
	}
	return nil
}
