package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func clusterProbes() []probe {
	return []probe{{"describe-cluster", describeCluster}, {"describe-log-dirs", describeLogDirs}, {"alter-replica-log-dirs", alterReplicaLogDirs}}
}

func describeCluster(a *asker) {
	a.each("the cluster", 0, 2, func(int16) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() })
	a.each("with authorized operations", 0, 2, func(int16) kmsg.Request {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		return req
	})
	for v := int16(1); v <= 2; v++ {
		controllers := kmsg.NewPtrDescribeClusterRequest()
		controllers.EndpointType = 2
		a.ask("the controllers, asked of a broker", controllers, v)
		unknown := kmsg.NewPtrDescribeClusterRequest()
		unknown.EndpointType = 9
		a.ask("an endpoint type that does not exist", unknown, v)
	}
	fenced := kmsg.NewPtrDescribeClusterRequest()
	fenced.IncludeFencedBrokers = true
	a.ask("with fenced brokers", fenced, 2)
}

func describeLogDirs(a *asker) {
	name, id := a.topic("t", 2)
	a.fill(name, id, 2)
	ask := func(topic string, partitions ...int32) *kmsg.DescribeLogDirsRequest {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	a.each("one partition of a topic", 1, 5, func(int16) kmsg.Request { return ask(name, 1) })
	a.each("a partition that does not exist", 1, 5, func(int16) kmsg.Request { return ask(name, 9) })
	a.each("a topic that does not exist", 1, 5, func(int16) kmsg.Request { return ask(a.topicName("none"), 0) })
	a.each("no topics", 1, 5, func(int16) kmsg.Request {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		return req
	})
	for v := int16(1); v <= 5; v++ {
		a.question("all topics: the one with records has a size (v%d)", v)
		got := a.quiet(kmsg.NewPtrDescribeLogDirsRequest(), v).(*kmsg.DescribeLogDirsResponse)
		var found []string
		for _, dir := range got.Dirs {
			for _, t := range dir.Topics {
				for _, p := range t.Partitions {
					if t.Topic == name {
						found = append(found, fmt.Sprintf("partition %d, size %v, lag %d, future %v", p.Partition, p.Size > 0, p.OffsetLag, p.IsFuture))
					}
				}
			}
		}
		slices.Sort(found)
		a.say("%s", strings.Join(found, "\n  "))
	}
}

// alterReplicaLogDirs asks a broker with one directory: what moves between several is tested elsewhere.
func alterReplicaLogDirs(a *asker) {
	name, _ := a.topic("t", 2)
	none := a.topicName("none")
	home := a.quiet(kmsg.NewPtrDescribeLogDirsRequest(), 1).(*kmsg.DescribeLogDirsResponse).Dirs[0].Dir
	to := func(dir, topic string, partitions ...int32) kmsg.AlterReplicaLogDirsRequestDir {
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = topic, partitions
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir, d.Topics = dir, append(d.Topics, t)
		return d
	}
	each := func(question string, dirs ...kmsg.AlterReplicaLogDirsRequestDir) {
		a.each(question, 1, 2, func(int16) kmsg.Request {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			req.Dirs = dirs
			return req
		})
	}
	each("to where it is", to(home, name, 0, 1))
	each("to a directory that the broker does not have", to("/no/such/directory", name, 0))
	each("to a relative name", to("nowhere", name, 0))
	each("to no name", to("", name, 0))
	each("a partition that does not exist", to(home, name, 9))
	each("a negative partition", to(home, name, -1))
	each("a topic that does not exist", to(home, none, 0))
	each("a topic that does not exist, to a directory that the broker does not have", to("/no/such/directory", none, 0))
	each("two directories", to(home, name, 0), to("/no/such/directory", name, 1))
	each("nothing")
	each("no partitions", to(home, name))
}
