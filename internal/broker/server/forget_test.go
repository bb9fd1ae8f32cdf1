package server

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestE2AForgottenRequestHoldsNothing: a handler that waits for others gives its request's memory back, over sockets and in memory; the
// connection goes on as if nothing had been.
func TestE2AForgottenRequestHoldsNothing(t *testing.T) {
	const connections = 50
	for name, tcp := range map[string]bool{"tcp": true, "memory": false} {
		t.Run(name, func(t *testing.T) {
			waiting, goOn := make(chan struct{}, connections), make(chan struct{})
			h := start(t, setup{tcp: tcp, handler: HandlerFunc(func(ctx context.Context, req *Request, reply *Slot) {
				req.Forget()
				req.Forget() // once more is no harm
				if req.Body != nil || req.Frame != nil {
					t.Error("what was forgotten is still there")
				}
				waiting <- struct{}{}
				<-goOn
				answer(ctx, req, reply)
			})})
			clients := make([]*client, connections)
			for i := range clients {
				clients[i] = h.client()
				clients[i].send(metadataFrame(1))
			}
			for range clients {
				<-waiting
			}
			if n := h.budget.InUse(); n != 0 {
				t.Errorf("%d requests that wait hold %d bytes", connections, n)
			}
			close(goOn)
			for _, c := range clients {
				c.expect(1)
				c.send(metadataFrame(2))
				c.expect(2)
				_ = c.Close()
			}
			h.stop()
		})
	}
}

// TestAForgottenRequestLeavesTheNextOneAlone: what has arrived behind it, whole or in part, stays where it is.
func TestAForgottenRequestLeavesTheNextOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		h := start(t, setup{handler: HandlerFunc(func(ctx context.Context, req *Request, reply *Slot) {
			bodies = append(bodies, string(req.Body))
			if req.CorrelationID == 1 {
				req.Forget()
			}
			answer(ctx, req, reply)
		})})
		c := h.client()
		third := produceFrame(3, []byte("third"))
		c.send(produceFrame(1, []byte("first")), produceFrame(2, []byte("second")), third[:9])
		synctest.Wait()
		c.send(third[9:])
		c.expect(1, 2, 3)
		for i, want := range []string{"first", "second", "third"} {
			if bodies[i] != want {
				t.Errorf("request %d is %q, want %q", i+1, bodies[i], want)
			}
		}
		_ = c.Close()
		h.stop()
	})
}
