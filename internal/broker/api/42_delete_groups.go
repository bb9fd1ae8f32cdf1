package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// DeleteGroups (42), versions 0 to 2: deletes groups that have no members, with their offsets, each once.
func (b *Broker) deleteGroups(ctx context.Context, _ *server.Request, req *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	ids := distinct(req.Groups)
	asked := make([]pending[group.DeleteReply], len(ids))
	for i, id := range ids {
		asked[i] = begin(b, id, func(m *group.Machine, now time.Time, reply func(group.DeleteReply)) shard.Result {
			return m.Delete(now, []string{id}, reply)
		})
	}
	resp := kmsg.NewPtrDeleteGroupsResponse()
	for i, p := range asked {
		got, err := p.wait(ctx)
		if err = firstOf(err, got.Err); err == nil {
			err = got.Groups[0]
		}
		resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: ids[i], ErrorCode: groupCode(err)})
	}
	return resp
}
