package peer

import (
	"errors"
	"fmt"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer/peerpb"
	"chronik/internal/quorum"
)

const maxMessage = 4 << 10 // of an error's text

// reasons finds a refusal's reason by the name of its Kafka error. Numbers of Go constants do not go on the wire.
var reasons = func() map[string]controller.Reason {
	out := make(map[string]controller.Reason)
	for r := controller.InvalidRequest; ; r++ {
		name := r.String()
		if name == fmt.Sprintf("Reason(%d)", uint8(r)) {
			return out
		}
		out[name] = r
	}
}()

// toFailure says an error in the words of the wire. What is not known to have changed nothing is UNKNOWN (D4).
func toFailure(err error) *peerpb.Failure {
	text := err.Error()
	f := &peerpb.Failure{Message: text[:min(len(text), maxMessage)], Leader: int32(model.NoBroker)}
	var refusal *controller.Refusal
	var elsewhere *quorum.NotControllerError
	switch {
	case errors.Is(err, ErrUnknown), errors.Is(err, quorum.ErrUnknownOutcome): // whatever else it is
	case errors.As(err, &refusal):
		f.Kind, f.Reason = peerpb.Failure_REFUSED, refusal.Reason.String()
	case errors.As(err, &elsewhere):
		f.Kind, f.Leader, f.Term = peerpb.Failure_NOT_CONTROLLER, int32(elsewhere.Leader), elsewhere.Term
	case errors.Is(err, quorum.ErrNotController):
		f.Kind = peerpb.Failure_NOT_CONTROLLER
	case errors.Is(err, ErrBusy):
		f.Kind = peerpb.Failure_BUSY
	case errors.Is(err, ErrUnsupported), errors.Is(err, peerpb.ErrUnknownField):
		f.Kind = peerpb.Failure_UNSUPPORTED
	case errors.Is(err, ErrInvalid), errors.Is(err, peerpb.ErrFormat):
		f.Kind = peerpb.Failure_INVALID
	case errors.Is(err, quorum.ErrNoSpace):
		f.Kind = peerpb.Failure_NO_SPACE
	case errors.Is(err, quorum.ErrTooLarge):
		f.Kind = peerpb.Failure_TOO_LARGE
	}
	return f
}

// fromFailure is the error that a Failure tells of.
func fromFailure(m Method, node model.BrokerID, f *peerpb.Failure) error {
	kind := map[peerpb.Failure_Kind]error{
		peerpb.Failure_BUSY: ErrBusy, peerpb.Failure_UNSUPPORTED: ErrUnsupported, peerpb.Failure_INVALID: ErrInvalid,
		peerpb.Failure_NO_SPACE: quorum.ErrNoSpace, peerpb.Failure_TOO_LARGE: quorum.ErrTooLarge,
	}[f.GetKind()]
	reason, known := reasons[f.GetReason()]
	switch {
	case kind != nil:
		return fmt.Errorf("%v at node %d: %w (%s)", m, node, kind, f.GetMessage())
	case f.GetKind() == peerpb.Failure_NOT_CONTROLLER:
		return &quorum.NotControllerError{Leader: brokerOrNone(f.GetLeader()), Term: f.GetTerm()}
	case f.GetKind() == peerpb.Failure_REFUSED && known:
		return &controller.Refusal{Reason: reason, Message: f.GetMessage()}
	case f.GetKind() == peerpb.Failure_REFUSED: // of a newer release; nothing has changed, and nobody here can act upon it
		return &controller.Refusal{Reason: controller.InvalidRequest, Message: f.GetMessage()}
	}
	return &UnknownError{Method: m, Cause: fmt.Errorf("node %d answers: %s", node, f.GetMessage())}
}

func brokerOrNone(n int32) model.BrokerID { return max(model.BrokerID(n), model.NoBroker) }
