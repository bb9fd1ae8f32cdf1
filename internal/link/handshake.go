package link

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"chronik/internal/model"
)

// Labels of the two proofs: neither can be sent back as the other.
const (
	dialerLabel   = "chronik link: dialer\x00"
	acceptorLabel = "chronik link: acceptor\x00"
	bindingLabel  = "EXPORTER-chronik-link"
)

// handshake is one side of a handshake.
type handshake struct {
	cfg     *Config
	conn    net.Conn  // what the link will use
	in      io.Reader // what is read from: conn, and before it what was looked at already
	mine    hello
	theirs  hello
	first   []byte // the dialer's hello, as it was on the wire
	second  []byte // the acceptor's
	binding []byte // what is unique to the TLS session; nil without TLS
}

// Dial makes a link out of a connection that was dialled. Unless expect is model.NoBroker, the node at the other end must be that one. On an error the
// connection is closed.
func Dial(ctx context.Context, conn net.Conn, cfg Config, role Role, expect model.BrokerID) (*Link, error) {
	return shake(ctx, conn, &cfg, func(h *handshake) error {
		if err := h.secure(); err != nil {
			return err
		}
		return h.dial(role, expect)
	})
}

// Accept makes a link out of a connection that was accepted. On an error the connection is closed.
func Accept(ctx context.Context, conn net.Conn, cfg Config) (*Link, error) {
	return shake(ctx, conn, &cfg, func(h *handshake) error {
		if err := h.lookAhead(); err != nil {
			return err
		}
		if err := h.secure(); err != nil {
			return err
		}
		return h.accept()
	})
}

// shake runs one side within the time that it has.
func shake(ctx context.Context, conn net.Conn, cfg *Config, side func(*handshake) error) (*Link, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	h := &handshake{cfg: cfg, conn: conn, in: conn}
	err := cfg.check()
	if err == nil {
		deadline := time.Now().Add(cfg.Timing.Handshake)
		_ = conn.SetDeadline(deadline)
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err = side(h)
		if !stop() { // ctx may still be about to set its deadline on a connection that is to live
			err = errors.Join(err, context.Cause(ctx))
		}
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil {
		return newLink(h.conn, cfg, h.peer(), min(h.theirs.silence, cfg.Timing.Silence)), nil
	}
	h.sendRefusal(err)
	_ = h.conn.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("the handshake took longer than %v: %w", cfg.Timing.Handshake, err)
	}
	return nil, err
}

func (h *handshake) dial(role Role, expect model.BrokerID) error {
	h.introduce(role)
	h.first = h.mine.encode()
	if err := h.say(h.first); err != nil {
		return err
	}
	body, raw, err := h.expect(kindHello)
	if err != nil {
		return err
	}
	h.second = raw
	if err := h.judge(body); err != nil {
		return err
	}
	if expect != model.NoBroker && h.theirs.node != expect {
		return refuse(WrongNode, "node %d answers where node %d was dialled: the address of one of them is wrong", h.theirs.node, expect)
	}
	if err := h.prove(dialerLabel); err != nil {
		return err
	}
	return h.verify(acceptorLabel)
}

func (h *handshake) accept() error {
	body, raw, err := h.expect(kindHello)
	if err != nil {
		return err
	}
	h.first = raw
	theirs, err := decodeHello(body)
	if err != nil {
		return err
	}
	h.introduce(theirs.role)
	h.second = h.mine.encode()
	if err := h.say(h.second); err != nil {
		return err
	}
	if err := h.judge(body); err != nil {
		return err
	}
	if err := h.verify(dialerLabel); err != nil {
		return err
	}
	if h.cfg.Admit != nil {
		if err := h.cfg.Admit(h.peer()); err != nil {
			return &HandshakeError{Code: Denied, Reason: err.Error()}
		}
	}
	return h.prove(acceptorLabel)
}

// introduce fills in the own hello.
func (h *handshake) introduce(role Role) {
	oldest, newest := h.cfg.versions()
	h.mine = hello{
		oldest: oldest, newest: newest, role: role, node: h.cfg.Node, epoch: h.cfg.epoch(),
		silence: max(h.cfg.Timing.Silence, time.Millisecond), clusterID: h.cfg.ClusterID,
	}
	if len(h.cfg.Auth.Secret) > 0 {
		h.mine.flags |= flagSecret
	}
	_, _ = rand.Read(h.mine.nonce[:]) // never fails
}

// judge takes the peer's hello.
func (h *handshake) judge(body []byte) error {
	var err error
	if h.theirs, err = decodeHello(body); err != nil {
		return err
	}
	if e := compare(&h.mine, &h.theirs); e != nil {
		return e
	}
	t, ok := h.conn.(encrypted)
	if h.cfg.Auth.Identify == nil || !ok { // secure has refused what has to be TLS and is not
		return nil
	}
	state := t.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return refuse(NotProved, "node %d shows no certificate that this broker's authorities vouch for", h.theirs.node)
	}
	if err := h.cfg.Auth.Identify(state, h.peer()); err != nil {
		return refuse(NotProved, "the certificate is not that of node %d: %v", h.theirs.node, err)
	}
	return nil
}

func (h *handshake) proof(label string) []byte {
	mac := hmac.New(sha256.New, h.cfg.Auth.Secret)
	mac.Write([]byte(label))
	mac.Write([]byte{byte(len(h.binding))})
	mac.Write(h.binding)
	mac.Write(h.first)
	mac.Write(h.second)
	return mac.Sum(nil)
}

func (h *handshake) prove(label string) error {
	return h.say(append(appendMessageHeader(nil, kindProof, macSize), h.proof(label)...))
}

// say sends a message. A peer that has closed may have said why before.
func (h *handshake) say(message []byte) error {
	_, err := h.conn.Write(message)
	if err == nil {
		return nil
	}
	_, _, why := h.expect(kindRefusal)
	var refused *HandshakeError
	if errors.As(why, &refused) && refused.Remote || errors.Is(why, errAlert) {
		return why
	}
	return err
}

func (h *handshake) verify(label string) error {
	body, _, err := h.expect(kindProof)
	if err != nil {
		return err
	}
	if !hmac.Equal(body, h.proof(label)) {
		return refuse(NotProved, "node %d and node %d do not have the same shared secret", h.theirs.node, h.mine.node)
	}
	return nil
}

// expect reads the next message, which must be of that kind, or a refusal.
func (h *handshake) expect(kind byte) (body, raw []byte, err error) {
	got, body, raw, err := readMessage(h.in)
	switch {
	case err != nil:
		return nil, nil, h.alerted(err)
	case got == kindRefusal:
		return nil, nil, decodeRefusal(body)
	case got != kind:
		return nil, nil, refuse(NotALink, "a handshake message of kind %d where %d belongs", got, kind)
	}
	return body, raw, nil
}

// sendRefusal tells the peer why there is no link, if it can be told: one that speaks another protocol gets no answer.
func (h *handshake) sendRefusal(err error) {
	var e *HandshakeError
	if errors.As(err, &e) && !e.Remote && e.Code != NotALink {
		_, _ = h.conn.Write(encodeRefusal(e))
	}
}

func (h *handshake) peer() Peer {
	return Peer{
		ClusterID: h.theirs.clusterID, Node: h.theirs.node, Epoch: h.theirs.epoch, Role: h.theirs.role,
		Version: common(&h.mine, &h.theirs), Address: h.conn.RemoteAddr(),
	}
}
