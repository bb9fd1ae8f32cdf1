package stream

import (
	"encoding/hex"
	"reflect"
	"testing"

	"chronik/internal/model"
	"chronik/internal/replication"
)

// examples is one message of each kind, and its bytes in version 1 of the protocol. What is changed here is another version.
var (
	about = replication.Reply{Subscription: 300, LeaderEpoch: 5, BrokerEpoch: 77}

	subscribe = replication.Subscribe{
		TopicID: model.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Partition: 7, Subscription: 300, LeaderEpoch: 5,
		Broker: 2, BrokerEpoch: 77, Own: replication.Own{Start: 10, End: 1000, Synced: 990}, LastEpoch: 4, Credit: 1 << 20,
	}
	ack     = replication.Ack{Subscription: 300, LeaderEpoch: 5, BrokerEpoch: 77, Own: replication.Own{Start: 10, End: 1000, Synced: 990}}
	credit  = replication.Credit{Subscription: 300, Bytes: 65536}
	batches = replication.Batches{
		Subscription: 300, LeaderEpoch: 5, From: 1000, End: 1010, Bytes: []byte("batches"), HighWatermark: 990, LogStart: 10,
	}
	watermark = replication.Watermark{Subscription: 300, LeaderEpoch: 5, HighWatermark: 1010, LogStart: 10}

	answers = []replication.Answer{
		replication.Accepted{Reply: about, From: 1000, HighWatermark: 990, LogStart: 10},
		replication.Diverged{Reply: about, Epoch: 3, EndOffset: 900},
		replication.Restart{Reply: about, LogStart: 2000},
		replication.Refused{Reply: about, Reason: replication.FencedLeaderEpoch, Current: 6},
	}
	answerBytes = []string{
		"01ac020a9a01d00f1314", "02ac020a9a0106880e", "03ac020a9a01a01f", "04ac020a9a01020c",
	}
)

func TestGoldenBytes(t *testing.T) {
	both := Report{HasAck: true, HasCredit: true, Ack: ack, Credit: credit}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"subscribe":  {appendSubscribe(nil, &subscribe), "0102030405060708090a0b0c0d0e0f1007ac020a029a01d00fbb0f1308808040"},
		"ack":        {appendProgress(nil, &Report{HasAck: true, Ack: ack}), "01ac020a9a01d00fbb0f13"},
		"credit":     {appendProgress(nil, &Report{HasCredit: true, Credit: credit}), "02ac02808004"},
		"ack+credit": {appendProgress(nil, &both), "03ac020a9a01d00fbb0f13808004"},
		"batches":    {append(appendBatches(nil, &batches), batches.Bytes...), "ac020ad00f14131462617463686573"},
		"watermark":  {appendWatermark(nil, &watermark), "ac020ae40f14"},
		"accepted":   {appendAnswer(nil, answers[0]), answerBytes[0]},
		"diverged":   {appendAnswer(nil, answers[1]), answerBytes[1]},
		"restart":    {appendAnswer(nil, answers[2]), answerBytes[2]},
		"refused":    {appendAnswer(nil, answers[3]), answerBytes[3]},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, want %s", name, got, c.want)
		}
	}
	if frameSubscribes != 16 || frameProgress != 17 || frameAnswers != 18 || frameWatermarks != 19 || frameBatches != 20 {
		t.Error("the frame types have moved")
	}
}

// TestMessagesComeBack: what is written is what is read, in lists too.
func TestMessagesComeBack(t *testing.T) {
	d := decoder{b: appendSubscribe(appendSubscribe(nil, &subscribe), &subscribe)}
	for range 2 {
		if m := d.subscribe(); m != subscribe {
			t.Errorf("got %+v", m)
		}
	}
	for _, want := range []Report{{HasAck: true, Ack: ack}, {HasCredit: true, Credit: credit}, {HasAck: true, HasCredit: true, Ack: ack, Credit: credit}} {
		var r Report
		e := decoder{b: appendProgress(nil, &want)}
		if e.progress(&r); r != want || e.err("") != nil || e.more() {
			t.Errorf("got %+v, want %+v: %v", r, want, e.err(""))
		}
	}
	for _, want := range answers {
		e := decoder{b: appendAnswer(nil, want)}
		if got := e.answer(); got != want || e.err("") != nil || e.more() {
			t.Errorf("got %+v, want %+v: %v", got, want, e.err(""))
		}
	}
	e := decoder{b: append(appendBatches(nil, &batches), batches.Bytes...)}
	if got := e.batches(); !reflect.DeepEqual(got, batches) || e.err("") != nil {
		t.Errorf("got %+v: %v", got, e.err(""))
	}
	e = decoder{b: appendWatermark(nil, &watermark)}
	if got := e.watermark(); got != watermark || e.err("") != nil || e.more() {
		t.Errorf("got %+v: %v", got, e.err(""))
	}
	if d.err("") != nil || d.more() {
		t.Error(d.err(""))
	}
}

// TestShortMessagesAreRefused: cut anywhere, each is an error.
func TestShortMessagesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		whole []byte
		read  func(*decoder)
	}{
		"subscribe": {appendSubscribe(nil, &subscribe), func(d *decoder) { d.subscribe() }},
		"progress":  {appendProgress(nil, &Report{HasAck: true, HasCredit: true, Ack: ack, Credit: credit}), func(d *decoder) { d.progress(new(Report)) }},
		"accepted":  {appendAnswer(nil, answers[0]), func(d *decoder) { d.answer() }},
		"refused":   {appendAnswer(nil, answers[3]), func(d *decoder) { d.answer() }},
		"watermark": {appendWatermark(nil, &watermark), func(d *decoder) { d.watermark() }},
		"batches":   {appendBatches(nil, &batches), func(d *decoder) { d.batches() }},
	} {
		for n := range c.whole {
			d := decoder{b: c.whole[:n]}
			if c.read(&d); d.err(name) == nil {
				t.Errorf("%s cut to %d of %d bytes was taken", name, n, len(c.whole))
			}
		}
	}
}
