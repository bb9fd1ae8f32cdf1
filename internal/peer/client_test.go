package peer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
	"chronik/internal/quorum"
)

// TestEveryCallArrives: what a caller says is what the handler hears, and back, over the wire and within one broker.
func TestEveryCallArrives(t *testing.T) {
	for _, leader := range []model.BrokerID{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.lead(leader)
			me, ctl := w.brokers[1], w.brokers[leader]
			ctx := within(t, 5*time.Second)
			wantCaller := func(from Caller) {
				if from.Node != 1 || from.ClusterID != "cluster" {
					t.Errorf("the caller is %+v", from)
				}
			}
			reg := controller.Registration{ClusterID: "cluster", ID: 1, Incarnation: image.UUID{1}, Directory: image.UUID{2}, Rack: "r", Follows: 9, CleanStop: true,
				Endpoints: []image.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092, SecurityProtocol: "PLAINTEXT"}},
				Features:  []image.FeatureRange{{Name: "metadata.version", Min: 1, Max: 2}}, Cuts: []controller.Cut{{Topic: model.TopicID{3}, Partition: 4, End: 5}}}
			beat := controller.Heartbeat{ID: 1, Epoch: 9, Applied: 10, WantStop: true, Stopped: true}
			pulse := controller.HeartbeatReply{CaughtUp: true, Fenced: true, Stopping: true, MayStop: true, Waiting: 3, AsOf: 12}
			change := []controller.ISRChange{{Topic: model.TopicID{1}, Partition: 2, LeaderEpoch: 3, PartitionEpoch: 4,
				ISR: []controller.Member{{ID: 1, Epoch: -1}, {ID: 2, Epoch: 9}}}, {Topic: model.TopicID{2}}}
			state := image.Partition{Replicas: []model.BrokerID{1, 2, 3}, ISR: []model.BrokerID{2}, ELR: []model.BrokerID{1}, Leader: model.NoBroker, LeaderEpoch: 6,
				PartitionEpoch: 7, Adding: []model.BrokerID{3}, Removing: []model.BrokerID{1}, LastKnownLeader: 2, Cut: []image.CutLog{{Node: 2, End: model.NoOffset}}}
			fenced := &controller.Refusal{Reason: controller.FencedLeaderEpoch, Message: "no"}
			name := "client"
			request := ClientRequest{APIKey: 19, APIVersion: 7, ClientID: &name, Body: []byte("create"), Origin: Origin{
				Principal: Principal{Type: "User", Name: "alice", ByToken: true}, Address: netip.MustParseAddrPort("[fe80::1]:50123"), Listener: "CLIENTS"}}
			same := func(what string, got, want any) {
				t.Helper()
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
				}
			}
			ctl.set(fake{
				register: func(_ context.Context, from Caller, r controller.Registration) (model.BrokerEpoch, error) {
					wantCaller(from)
					same("registration", r, reg)
					return 42, nil
				},
				heartbeat: func(_ context.Context, _ Caller, h controller.Heartbeat) (controller.HeartbeatReply, error) {
					same("heartbeat", h, beat)
					return pulse, nil
				},
				alter: func(_ context.Context, _ Caller, e model.BrokerEpoch, cs []controller.ISRChange) ([]controller.AlteredPartition, error) {
					same("epoch", e, model.BrokerEpoch(42))
					same("changes", cs, change)
					return []controller.AlteredPartition{{State: state}, {Err: fenced}}, nil
				},
				resign: func(_ context.Context, _ Caller, _ model.BrokerEpoch, rs []controller.Resignation) ([]error, error) {
					same("resignations", rs, []controller.Resignation{{Topic: model.TopicID{7}, Partition: 1, LeaderEpoch: 2, Failed: true}, {}})
					return []error{nil, fenced}, nil
				},
				forward: func(_ context.Context, _ Caller, q ClientRequest) ([]byte, error) {
					same("forwarded", q, request)
					return []byte("created"), nil
				},
			})
			epoch, err := me.client.Register(ctx, reg)
			same("register", []any{epoch, err}, []any{model.BrokerEpoch(42), error(nil)})
			reply, err := me.client.Heartbeat(ctx, beat)
			same("heartbeat reply", []any{reply, err}, []any{pulse, error(nil)})
			altered, err := me.client.AlterPartitions(ctx, 42, change)
			same("altered", []any{altered, err}, []any{[]controller.AlteredPartition{{State: state}, {Err: fenced}}, error(nil)})
			errs, err := me.client.Resign(ctx, 42, []controller.Resignation{{Topic: model.TopicID{7}, Partition: 1, LeaderEpoch: 2, Failed: true}, {}})
			same("resigned", []any{errs, err}, []any{[]error{nil, fenced}, error(nil)})
			block, err := me.client.AllocateProducerIDs(ctx, 42)
			same("producer IDs", []any{block, err}, []any{controller.ProducerIDBlock{First: 1000, Count: 1000}, error(nil)})
			same("join", me.client.Join(ctx, JoinRequest{Directory: image.UUID{1}, Address: "a", Vote: true}), error(nil))
			body, err := me.client.Forward(ctx, request)
			same("forward", []any{string(body), err}, []any{"created", error(nil)})
			body, err = w.brokers[3].pool.Transact(ctx, 2, ClientRequest{APIKey: 27, APIVersion: 2, Body: []byte("markers")})
			same("transact", []any{string(body), err}, []any{"3 to 2: markers", error(nil)})
			info, err := w.brokers[3].pool.FindController(ctx, 2)
			same("controller", []any{info, err}, []any{ControllerInfo{Leader: leader, Term: 5, Active: leader == 2, Address: address(leader)}, error(nil)})
		})
	}
}

// TestImpossibleClients: what no broker would say of a client is refused, and so cannot be taken for another one, or for nobody.
func TestImpossibleClients(t *testing.T) {
	for _, q := range []*peerpb.ForwardRequest{
		{PrincipalName: "alice"}, {PrincipalType: "User"}, {ByToken: true}, {ClientAddress: "10.0.0.1"}, {ClientAddress: "alice:1"}, {ApiKey: 1 << 20},
	} {
		if got, err := getClientRequest(q); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v was read as %+v, %v", q, got, err)
		}
	}
	if got, err := getClientRequest(&peerpb.ForwardRequest{Listener: "l"}); err != nil || got.Origin != (Origin{Listener: "l"}) {
		t.Errorf("nobody in particular: %+v, %v", got, err)
	}
}

// TestErrorsArrive: a remote call fails as a local one does, and what is not known to have changed nothing is unknown (D4).
func TestErrorsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		for _, c := range []struct{ made, want error }{
			{&controller.Refusal{Reason: controller.Settling, Message: "wait"}, nil},
			{fmt.Errorf("deciding: %w", quorum.ErrNoSpace), quorum.ErrNoSpace},
			{quorum.ErrTooLarge, quorum.ErrTooLarge},
			{quorum.ErrUnknownOutcome, ErrUnknown},
			{quorum.ErrStopped, ErrUnknown},
			{context.Canceled, ErrUnknown},
			{errors.New("\xff not a known error"), ErrUnknown},
			{&UnknownError{Forward, &quorum.NotControllerError{}}, ErrUnknown},
		} {
			w.brokers[2].set(fake{forward: func(context.Context, Caller, ClientRequest) ([]byte, error) { return []byte("done!"), c.made }})
			for _, from := range []model.BrokerID{1, 2} {
				out, err := w.brokers[from].client.Forward(within(t, time.Second), ClientRequest{})
				if out != nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && !reflect.DeepEqual(err, c.made) {
					t.Errorf("%v came from %d as %v, with %q", c.made, from, err, out)
				}
				if unknown := errors.Is(c.want, ErrUnknown); errors.Is(err, ErrUnknown) != unknown || errors.Is(err, quorum.ErrUnknownOutcome) != unknown {
					t.Errorf("%v: known, or not: %v", c.made, err)
				}
			}
		}
	})
}

// TestFollowsTheController: the client asks around, follows hints, and keeps to whom it has found.
func TestFollowsTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(3)
		c := w.brokers[1].client
		for range 5 {
			if _, err := c.Heartbeat(within(t, time.Second), controller.Heartbeat{}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.brokers[2].heard()) + len(w.brokers[1].heard()); n > 1 || len(w.brokers[3].heard()) != 5 {
			t.Errorf("others were asked %d times, the controller %d times", n, len(w.brokers[3].heard()))
		}
		w.lead(2) // 3 says so
		if _, err := c.Forward(within(t, time.Second), ClientRequest{}); err != nil || c.Believed() != 2 {
			t.Fatalf("%v; believed: %d", err, c.Believed())
		}
		w.lead(model.NoBroker)
		began := time.Now()
		go func() {
			time.Sleep(700 * time.Millisecond)
			w.lead(1)
		}()
		if _, err := c.Forward(within(t, 5*time.Second), ClientRequest{}); err != nil || time.Since(began) > time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		asked := 0
		for _, b := range w.brokers {
			asked += len(b.heard())
		}
		if asked > 40 {
			t.Errorf("%d calls in 700 ms without a controller: there is no back-off", asked)
		}
	})
}

// TestNobodyLeads: a call that reached no controller says that nothing has changed.
func TestNobodyLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		_, err := w.brokers[1].client.Forward(within(t, time.Second), ClientRequest{})
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, quorum.ErrNotController) {
			t.Errorf("%v", err)
		}
		w.apart(1)
		w.lead(2)
		_, err = w.brokers[1].client.AlterPartitions(within(t, time.Second), 1, nil)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
			t.Errorf("%v", err)
		}
	})
}

// TestLeaderIsCutOff: the link is lost while calls are in flight. What must not be repeated is unknown, and what may be repeated gets to the next controller.
func TestLeaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		begun := make(chan string, 10)
		hang := func(ctx context.Context, what string) {
			begun <- what
			<-ctx.Done()
		}
		w.brokers[2].set(fake{
			forward: func(ctx context.Context, _ Caller, _ ClientRequest) ([]byte, error) {
				hang(ctx, "forward")
				return []byte("too late"), nil
			},
			alter: func(ctx context.Context, _ Caller, _ model.BrokerEpoch, cs []controller.ISRChange) ([]controller.AlteredPartition, error) {
				hang(ctx, "alter")
				return make([]controller.AlteredPartition, len(cs)), nil
			},
			register: func(ctx context.Context, _ Caller, _ controller.Registration) (model.BrokerEpoch, error) {
				hang(ctx, "register")
				return 1, nil
			},
		})
		c := w.brokers[1].client
		ctx := within(t, 10*time.Second)
		forwarded, altered, registered := make(chan error, 1), make(chan error, 1), make(chan model.BrokerEpoch, 1)
		go func() { _, err := c.Forward(ctx, ClientRequest{}); forwarded <- err }()
		go func() { _, err := c.AlterPartitions(ctx, 1, make([]controller.ISRChange, 1)); altered <- err }()
		go func() {
			epoch, err := c.Register(ctx, controller.Registration{})
			if err != nil {
				t.Error(err)
			}
			registered <- epoch
		}()
		for range 3 {
			<-begun
		}
		w.lead(3)
		w.apart(2)
		for _, err := range []error{<-forwarded, <-altered} {
			if !errors.Is(err, ErrUnknown) || !errors.Is(err, quorum.ErrUnknownOutcome) || errors.Is(err, ErrUnavailable) {
				t.Errorf("the link was lost: %v", err)
			}
		}
		if epoch := <-registered; epoch != 17 || !slices.Contains(w.brokers[3].heard(), "register from 1") {
			t.Errorf("epoch %d; node 3 heard %v", epoch, w.brokers[3].heard())
		}
	})
}

// TestCancelled: a call that is given up is unknown at once, and its handler is told.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		ended := make(chan error, 2)
		begun := make(chan time.Duration, 2)
		w.brokers[2].set(fake{forward: func(ctx context.Context, _ Caller, _ ClientRequest) ([]byte, error) {
			d, _ := ctx.Deadline()
			begun <- time.Until(d)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, nil
		}})
		ctx, cancel := context.WithCancel(within(t, 7*time.Second))
		go func() {
			if left := <-begun; left > 7*time.Second || left < 6900*time.Millisecond {
				t.Errorf("the handler has %v", left)
			}
			cancel()
		}()
		if _, err := w.brokers[1].client.Forward(ctx, ClientRequest{}); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := <-ended; !errors.Is(err, errNobodyWaits) {
			t.Errorf("the handler was stopped by %v", err)
		}
		if _, err := w.brokers[1].client.Forward(ctx, ClientRequest{}); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "unknown") {
			t.Errorf("a call that was over before it began: %v", err)
		}
	})
}
