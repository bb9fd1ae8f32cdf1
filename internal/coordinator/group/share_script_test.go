package group

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"chronik/internal/model"
)

func (s *script) shareRequests() map[string]func(string, args) {
	return map[string]func(string, args){
		"share": s.share, "describe-share": s.describeShare, "share-partitions": s.sharePartitions, "alter-share": s.alterShare,
		"delete-share-offsets": s.deleteShareOffsets, "calls": s.showCalls, "answer": s.answer,
	}
}

var errCall = errors.New("nobody could be asked")

// share is a heartbeat of a member that remembers its epoch.
func (s *script) share(name string, a args) {
	r := ShareHeartbeatRequest{
		Group: a.text("group", "s"), Member: a.text("id", name), Epoch: int32(a.number("epoch", int(s.generations[name]))), Rack: a.pointer("rack"),
		ClientID: name, ClientHost: "/h",
	}
	if _, ok := a["join"]; ok {
		r.Epoch = JoinEpoch
	}
	if v, ok := a["topics"]; ok {
		r.Topics = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	}
	s.run(s.m.ShareHeartbeat(s.now, r, func(o ShareHeartbeatReply) {
		if o.Err != nil {
			s.say("%s: %s", name, problem(o.Err))
			return
		}
		s.generations[name] = o.Epoch
		out := fmt.Sprintf("%s: epoch=%d", name, o.Epoch)
		if o.Assigned {
			out += " " + showPartitions(o.Assignment)
		}
		s.say("%s", out)
	}))
}

func (s *script) describeShare(_ string, a args) {
	s.run(s.m.DescribeShare(strings.Split(a.text("groups", "s"), ","), func(all []ShareDescription, err error) {
		for _, d := range all {
			s.say("%s %s %s epoch=%d assigned=%d by %s", d.Group, problem(d.Err), d.State, d.Epoch, d.AssignmentEpoch, d.Assignor)
			for _, m := range d.Members {
				s.say("  %s rack=%s epoch=%d client=%s%s topics=%s has %s", m.Member, text(m.Rack), m.Epoch, m.ClientID, m.ClientHost,
					strings.Join(m.Topics, ","), showNamed(m.Assignment))
			}
		}
	}))
}

func (s *script) sharePartitions(_ string, a args) {
	s.run(s.m.SharePartitions(a.text("group", "s"), func(all []DescribedPartitions, err error) { s.say("reads %s %s", problem(err), showNamed(all)) }))
}

// alterShare reads "a-0=5,a-1=7".
func (s *script) alterShare(_ string, a args) {
	r := AlterShareOffsetsRequest{Group: a.text("group", "s")}
	tps, values := a.partitions("offsets")
	for i, tp := range tps {
		n, _ := strconv.Atoi(values[i])
		r.Offsets = append(r.Offsets, ShareOffset{tp, model.Offset(n)})
	}
	s.run(s.m.AlterShareOffsets(s.now, r, func(o AlterShareOffsetsReply) {
		out := "altered " + problem(o.Err)
		for i := range o.Offsets {
			out += fmt.Sprintf(" %s(%d):%s", tps[i], o.Offsets[i].TopicID[0], problem(o.Offsets[i].Err))
		}
		s.say("%s", out)
	}))
}

func (s *script) deleteShareOffsets(_ string, a args) {
	r := DeleteShareOffsetsRequest{Group: a.text("group", "s"), Topics: strings.Split(a["topics"], ",")}
	s.run(s.m.DeleteShareOffsets(s.now, r, func(o DeleteShareOffsetsReply) {
		out := "deleted offsets " + problem(o.Err)
		for i := range o.Topics {
			out += fmt.Sprintf(" %s(%d):%s", r.Topics[i], o.Topics[i].TopicID[0], problem(o.Topics[i].Err))
		}
		s.say("%s", out)
	}))
}

// showCalls shows the calls that have left and are not answered.
func (s *script) showCalls(string, args) {
	if len(s.calls) == 0 {
		s.say("no calls")
	}
	for _, c := range s.calls {
		s.say("%s", showCall(c.(*ShareCall)))
	}
}

// answer answers the first of them: well, or with failures of "7:0,7:1", or of all.
func (s *script) answer(_ string, a args) {
	if len(s.calls) == 0 {
		s.say("no calls")
		return
	}
	c := s.calls[0].(*ShareCall)
	s.calls = s.calls[1:]
	s.say("answer to %s", showCall(c))
	var errs []error
	if v, ok := a["fail"]; ok {
		for _, p := range c.Partitions {
			var err error
			if v == "all" || strings.Contains(","+v+",", fmt.Sprintf(",%d:%d,", p.Topic[0], p.Partition)) {
				err = errCall
			}
			errs = append(errs, err)
		}
	}
	s.run(s.m.ShareAnswered(s.now, c, errs))
}

func showCall(c *ShareCall) string {
	out := fmt.Sprintf("call: begin for %s in epoch %d", c.Group, c.StateEpoch)
	if c.Delete {
		out = "call: forget for " + c.Group
	}
	for _, p := range c.Partitions {
		out += fmt.Sprintf(" %d:%d", p.Topic[0], p.Partition)
		if p.Start != model.NoOffset {
			out += fmt.Sprintf("=%d", p.Start)
		}
	}
	return out
}

func showRead(p *readPartitions) string {
	out := "initialized " + showPartitions(p.initialized)
	if len(p.initializing) > 0 {
		out += " initializing " + showPartitions(p.initializing)
	}
	for _, t := range p.deleting {
		out += fmt.Sprintf(" deleting %d(%s)", t[0], p.names[t])
	}
	return out
}
