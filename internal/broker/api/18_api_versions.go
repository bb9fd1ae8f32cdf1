package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
)

// ApiVersions (18), versions 0 to 4: what this listener serves. A version above the highest is answered by
// the server in version 0, as KIP-511 says. Version 3 carries the client's name, and features.
func (b *Broker) apiVersions(_ context.Context, r *server.Request, req *kmsg.ApiVersionsRequest) *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	if req.Version >= 3 && !(softwareName(req.ClientSoftwareName) && softwareName(req.ClientSoftwareVersion)) {
		resp.ErrorCode = Code(errInvalidRequest)
		return resp
	}
	resp.ApiKeys = b.table.ApiVersions()
	b.features(resp)
	return resp
}

// softwareName applies KIP-511's rule for the names and versions of clients:
// [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func softwareName(s string) bool {
	if s == "" || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
