package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/conformance/go/driver"
)

// A probe asks questions about one thing.
type probe struct {
	name string
	ask  func(*asker)
}

// An asker is a probe at work: a connection, topics, and the text of questions and answers so far. What goes wrong with the
// conversation itself (not an error code, not a closed connection) ends the probe as a panic of type failure.
type asker struct {
	ctx    context.Context
	env    *driver.Env
	name   string
	server string // the one broker that is asked
	conn   *conn
	dumper
}

type failure struct{ error }

func run(ctx context.Context, e *driver.Env, server string, p probe) (text string, err error) {
	a := &asker{ctx: ctx, env: e, name: p.name, server: server}
	a.names, a.tag, a.now = map[[16]byte]string{}, "-"+e.Client, time.Now()
	defer func() {
		if a.conn != nil {
			a.conn.Close()
		}
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%w, after %q", f.error, lastQuestion(a.out.String()))
		}
	}()
	p.ask(a)
	return a.out.String(), nil
}

func lastQuestion(text string) string {
	_, last, _ := strings.Cut(text[max(0, strings.LastIndex(text, "\n> ")):], "> ")
	last, _, _ = strings.Cut(last, "\n")
	return last
}

func (a *asker) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// connection is the probe's own, made again after the broker closed it.
func (a *asker) connection() *conn {
	if a.conn == nil {
		c, err := dial(a.server)
		a.must(err)
		a.conn = c
	}
	return a.conn
}

// chooseServer is the broker that coordinates the group with the empty name, which is asked about, too: it leads the first partition of the offsets' topic.
func chooseServer(ctx context.Context, e *driver.Env) (server string, err error) {
	_, err = run(ctx, e, e.Servers()[0], probe{"choose-server", func(a *asker) {
		a.coordinated(0, "g")
		const topic = "__consumer_offsets"
		a.until("there is a leader of "+topic, func() bool {
			m := a.quiet(metadataFor(topic), 9).(*kmsg.MetadataResponse)
			for _, p := range m.Topics[0].Partitions {
				for _, b := range m.Brokers {
					if p.Partition == 0 && p.Leader == b.NodeID {
						server = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
					}
				}
			}
			return server != ""
		})
	}})
	return server, err
}

// node is the asked broker's ID.
func (a *asker) node() int32 {
	all := a.quiet(metadataFor(), 9).(*kmsg.MetadataResponse).Brokers
	for _, b := range all {
		if len(all) == 1 || net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) == a.server {
			return b.NodeID
		}
	}
	panic(failure{fmt.Errorf("none of %d brokers says that it is %s", len(all), a.server)})
}

func (a *asker) hangUp() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// question starts a question; what follows until the next one is its answer.
func (a *asker) question(format string, args ...any) {
	line := fmt.Sprintf("> %s\n", fmt.Sprintf(format, args...))
	if strings.Contains(a.out.String(), line) {
		panic(failure{fmt.Errorf("%s asks twice: %s", a.name, line)})
	}
	a.out.WriteString(line)
}

func (a *asker) say(format string, args ...any) { fmt.Fprintf(&a.out, "  "+format+"\n", args...) }

// quiet asks without writing it down, for what only prepares a question.
func (a *asker) quiet(req kmsg.Request, version int16) kmsg.Response {
	req.SetVersion(version)
	resp, err := a.connection().ask(req)
	a.must(err)
	return resp
}

// ask asks req at the version and writes down the whole answer.
func (a *asker) ask(question string, req kmsg.Request, version int16) kmsg.Response {
	req.SetVersion(version)
	a.question("%s (%s v%d)", question, kmsg.NameForKey(req.Key()), version)
	resp, err := a.connection().ask(req)
	if errors.Is(err, errClosed) {
		a.say("closes the connection")
		a.hangUp()
		return nil
	}
	a.must(err)
	a.structure("answer", reflect.ValueOf(resp).Elem(), "  ")
	return resp
}

// answered writes down an answer that came of a quiet request, or of one that has been changed since.
func (a *asker) answered(question string, resp kmsg.Response) {
	a.question("%s (%s v%d)", question, kmsg.NameForKey(resp.Key()), resp.GetVersion())
	a.structure("answer", reflect.ValueOf(resp).Elem(), "  ")
}

// each asks the same at every version from lowest to highest. An answer that says what the version before said is written as "as vN".
func (a *asker) each(question string, lowest, highest int16, make func(version int16) kmsg.Request) {
	last, lastVersion := "", lowest
	for v := lowest; v <= highest; v++ {
		before := a.out.String()
		a.ask(question, make(v), v)
		asked := strings.TrimPrefix(a.out.String(), before)
		head, answer, _ := strings.Cut(asked, "\n")
		if answer != last {
			last, lastVersion = answer, v
			continue
		}
		a.out.Reset()
		fmt.Fprintf(&a.out, "%s%s\n  as v%d\n", before, head, lastVersion)
	}
}

// topicName is the name of one of this probe's topics.
func (a *asker) topicName(purpose string) string {
	return "p-" + strings.ReplaceAll(a.name, "/", "-") + "-" + purpose + a.tag
}

// topic creates one of this probe's topics with the asked broker as its only replica, waits until it leads, and returns its name and ID.
func (a *asker) topic(purpose string, partitions int32, configs ...string) (string, [16]byte) {
	name := a.topicName(purpose)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	node := a.node()
	for p := range partitions {
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Partition, r.Replicas = p, []int32{node}
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
	}
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	made := a.quiet(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]
	if made.ErrorCode != 0 {
		panic(failure{fmt.Errorf("creating %s: %s", name, errorName(made.ErrorCode))})
	}
	a.names[made.TopicID] = name
	a.ready(name, partitions)
	return name, made.TopicID
}

// ready waits until the broker knows the topic, also by its ID, and all partitions answer for their end: neither has to come first.
func (a *asker) ready(topic string, partitions int32) {
	a.until(topic+" is known", func() bool {
		return a.quiet(metadataFor(topic), 9).(*kmsg.MetadataResponse).Topics[0].ErrorCode == 0
	})
	a.until(topic+" has leaders", func() bool {
		req := kmsg.NewPtrListOffsetsRequest()
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for p := range partitions {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp = p, -1
			t.Partitions = append(t.Partitions, part)
		}
		req.Topics = append(req.Topics, t)
		for _, p := range a.quiet(req, 7).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
		return true
	})
}

// until repeats a quiet look until it sees what it wants: Kafka's controller answers before its brokers know.
func (a *asker) until(what string, seen func() bool) {
	for end := time.Now().Add(10 * time.Second); !seen(); {
		if time.Now().After(end) || a.ctx.Err() != nil {
			panic(failure{fmt.Errorf("it never came true that %s", what)})
		}
	}
}
