package node

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"chronik/internal/admin"
)

// serveHTTP comes last: who finds the port open finds the broker ready.
func (n *Node) serveHTTP(context.Context) error {
	ln, err := n.env.Listen("tcp", net.JoinHostPort(n.settings.BindAddr, strconv.Itoa(n.settings.HTTPPort)))
	if err != nil {
		return fmt.Errorf("%w; choose another with --http-port, or stop what uses it", err)
	}
	n.http, err = admin.Serve(ln, admin.Options{Healthy: n.Err, Ready: n.Err, Log: n.env.Log, Collectors: collectors(n)})
	return err
}
