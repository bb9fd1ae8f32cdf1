package api

import (
	"net/netip"

	"chronik/internal/broker/server"
)

// Origin is who has made a request. It goes with the request to whichever broker answers it: what a client may do, and to whom a change is put down,
// depends on the client and not on the broker that passed its request on.
type Origin struct {
	Principal Principal
	Address   netip.AddrPort // not valid: it has none, as within a process
	Listener  string         // of the broker that was asked
}

// Principal is as whom a client was authenticated. The zero value is nobody.
type Principal struct {
	Type, Name string // both or none, as "User" and "alice"
	ByToken    bool   // by a delegation token, which is good for no further one (KIP-48)
}

// principalKey is where a connection keeps the Principal that it was authenticated as.
type principalKey struct{}

// originOf is who has made a request of this broker; nil: the broker itself.
func originOf(r *server.Request) Origin {
	if r == nil {
		return Origin{}
	}
	who, _ := r.Conn.Value(principalKey{}).(Principal)
	return Origin{Principal: who, Address: r.Conn.RemoteAddr(), Listener: r.Conn.Listener()}
}
