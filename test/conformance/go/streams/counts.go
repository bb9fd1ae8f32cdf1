package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/driver"
)

const wordsPerLine = 3

// end is a key that no word has: a record with it, in each partition, follows all that the application wrote.
const end = "."

// counts are what has been written and what has come out of it.
type counts struct {
	written, got map[string]int
	seen         int // of all words
	ends         int
	wrong        error // the first thing that was
}

func newCounts() *counts { return &counts{written: map[string]int{}, got: map[string]int{}} }

// line is the words of line i, of which some come often.
func (c *counts) line(i int) string {
	var words []string
	for j := range wordsPerLine {
		h := fnv.New32a()
		fmt.Fprintf(h, "%d:%d", i, j)
		n := h.Sum32() % 97
		if h.Sum32()%3 == 0 {
			n %= 5
		}
		word := "word" + strconv.Itoa(int(n))
		c.written[word]++
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (c *counts) take(r *kgo.Record) {
	if r.Attrs.IsControl() {
		return
	}
	word := string(r.Key)
	if word == end {
		c.ends++
		return
	}
	c.seen++
	c.got[word]++
	if got := string(r.Value); got != strconv.Itoa(c.got[word]) && c.wrong == nil {
		c.wrong = fmt.Errorf("%s has the count %s at offset %d of partition %d, want %d", word, got, r.Offset, r.Partition, c.got[word])
	}
}

// finished reads what may have come too much, and compares.
func (a *application) finished(ctx context.Context) error {
	for p := range int32(partitions) {
		if err := a.client.ProduceSync(ctx, &kgo.Record{Topic: a.out, Partition: p, Key: []byte(end)}).FirstErr(); err != nil {
			return err
		}
	}
	for a.counts.ends < partitions {
		fetches := a.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after the last word: %w", err)
		}
		fetches.EachRecord(a.counts.take)
	}
	c := a.counts
	if c.wrong != nil {
		return c.wrong
	}
	for word, n := range c.written {
		if c.got[word] != n {
			return fmt.Errorf("%s was counted %d times, want %d", word, c.got[word], n)
		}
	}
	if err := driver.Want("words counted", c.seen, a.lines*wordsPerLine); err != nil {
		return err
	}
	return a.left(ctx)
}

// left looks at what the application has left behind: all that it read is committed, its changelog is compacted, and what it had repartitioned deleted.
func (a *application) left(ctx context.Context) error {
	admin := kadm.NewClient(a.client)
	committed, err := admin.FetchOffsets(kadm.RequireStable(ctx), a.name)
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(ctx, a.in)
	if err != nil {
		return err
	}
	for p := range int32(partitions) {
		want, _ := ends.Lookup(a.in, p)
		if got, ok := committed.Lookup(a.in, p); !ok || got.At != want.Offset {
			return fmt.Errorf("committed of %s-%d is %d, want %d", a.in, p, got.At, want.Offset)
		}
	}
	changelog, repartition := a.name+"-counts-changelog", a.name+"-words-repartition"
	configs, err := admin.DescribeTopicConfigs(ctx, changelog, repartition)
	if err != nil {
		return err
	}
	for topic, want := range map[string]string{changelog: "compact", repartition: "delete"} {
		c, err := configs.On(topic, nil)
		if err := errors.Join(err, c.Err); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		for _, k := range c.Configs {
			if k.Key == "cleanup.policy" && k.MaybeValue() != want {
				return fmt.Errorf("cleanup.policy of %s is %s, want %s", topic, k.MaybeValue(), want)
			}
		}
	}
	starts, err := admin.ListStartOffsets(ctx, repartition)
	if err != nil {
		return err
	}
	purged := false
	starts.Each(func(o kadm.ListedOffset) { purged = purged || o.Offset > 0 })
	return driver.Want("that what was repartitioned is deleted", purged, true)
}
