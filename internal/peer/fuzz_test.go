package peer

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
)

// nobody is a controller that decides nothing.
type nobody struct{}

func (nobody) Register(context.Context, Caller, controller.Registration) (model.BrokerEpoch, error) {
	return 1, nil
}
func (nobody) Heartbeat(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error) {
	return controller.HeartbeatReply{}, nil
}
func (nobody) AlterPartitions(_ context.Context, _ Caller, _ model.BrokerEpoch, cs []controller.ISRChange) ([]controller.AlteredPartition, error) {
	return make([]controller.AlteredPartition, len(cs)), nil
}
func (nobody) Resign(_ context.Context, _ Caller, _ model.BrokerEpoch, rs []controller.Resignation) ([]error, error) {
	return make([]error, len(rs)), nil
}
func (nobody) AllocateProducerIDs(context.Context, Caller, model.BrokerEpoch) (controller.ProducerIDBlock, error) {
	return controller.ProducerIDBlock{Count: 1}, nil
}
func (nobody) Join(context.Context, Caller, JoinRequest) error { return nil }
func (nobody) Forward(_ context.Context, _ Caller, q ClientRequest) ([]byte, error) {
	return q.Body, nil
}
func (nobody) Transact(_ context.Context, _ Caller, q ClientRequest) ([]byte, error) {
	return q.Body, nil
}
func (nobody) Possession() Possession           { return Possession{} }
func (nobody) ActiveController() ControllerInfo { return ControllerInfo{} }

// FuzzRequests: any bytes lead to an answer, or to an error that says that nothing has changed.
func FuzzRequests(f *testing.F) {
	for m := range methods {
		f.Add(requestHead{1, m, time.Second}.append(nil))
	}
	add := func(m Method, q proto.Message) {
		b, err := peerpb.Marshal(requestHead{1, m, time.Second}.append(nil), q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(Register, putRegistration(controller.Registration{Cuts: make([]controller.Cut, 2)}))
	add(AlterPartitions, putChanges(1, []controller.ISRChange{{ISR: []controller.Member{{ID: 1}}}}))
	add(Resign, putResignations(1, make([]controller.Resignation, 1)))
	add(Forward, putClientRequest(ClientRequest{Body: []byte("x")}))
	add(Transact, putClientRequest(ClientRequest{APIKey: 27, APIVersion: 2, Body: []byte("x")}))
	h := Handlers{Controller: nobody{}, Forwarder: nobody{}, Informant: nobody{}, Transactor: nobody{}}
	f.Fuzz(func(t *testing.T, frame []byte) {
		head, body, err := parseRequest(frame)
		if err != nil {
			return
		}
		if again, _, err := parseRequest(head.append(nil)); err != nil || again != head {
			t.Errorf("%+v became %+v", head, again)
		}
		reply, err := h.handle(context.Background(), Caller{Node: 1, ClusterID: "c", Version: link.NewestVersion}, head.method, body)
		if (err == nil) == (reply == nil) {
			t.Fatalf("%v and %v", reply, err)
		}
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, peerpb.ErrFormat) && !errors.Is(err, peerpb.ErrUnknownField) {
			t.Errorf("an error of no kind: %v", err)
		}
		if err != nil && toFailure(err).Kind == peerpb.Failure_UNKNOWN {
			t.Errorf("nothing was done, and %v does not say so", err)
		}
	})
}

// FuzzAnswers: any bytes lead to a result that is whole, or to an error.
func FuzzAnswers(f *testing.F) {
	f.Add(byte(0), appendAnswerHead(nil, 1, statusDone))
	f.Add(byte(1), append(appendAnswerHead(nil, 1, statusFailed), failed(nil, ErrBusy)...))
	ok, err := peerpb.Marshal(appendAnswerHead(nil, 1, statusDone), putAltered(make([]controller.AlteredPartition, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(AlterPartitions), ok)
	f.Fuzz(func(t *testing.T, m byte, frame []byte) {
		_, status, body, err := parseAnswer(frame)
		if err != nil {
			return
		}
		method := Method(m)
		body, err = readAnswer(method, 1, status, body)
		if (status == statusFailed) != (err != nil) {
			t.Fatalf("status %d became %v", status, err)
		}
		if err != nil {
			return
		}
		var altered peerpb.AlterPartitionsReply
		if peerpb.UnmarshalAnswer(body, &altered) == nil {
			if out, err := getAltered(1, 1, &altered); err == nil && len(out) != 1 {
				t.Error("not one outcome for one change")
			}
		}
		var possession peerpb.ProbeReply
		if peerpb.UnmarshalAnswer(body, &possession) == nil {
			if p, err := getPossession(&possession); err == nil && p.Node < 0 {
				t.Error("a possession of nobody")
			}
		}
	})
}
