package wire

// ByTopic puts together the topics of a message from what is said of single partitions, in whichever order that comes. One goroutine uses
// it at a time.
type ByTopic[T any] struct {
	create func(topic string) T
	topics []T
	at     map[string]int
}

// NewByTopic makes one. create makes a topic's part of the message, without partitions.
func NewByTopic[T any](create func(topic string) T) *ByTopic[T] {
	return &ByTopic[T]{create: create, at: make(map[string]int)}
}

// Of is a topic's part of the message, which is made if there is none. The pointer is good until the next call.
func (b *ByTopic[T]) Of(topic string) *T {
	i, ok := b.at[topic]
	if !ok {
		i, b.at[topic] = len(b.topics), len(b.topics)
		b.topics = append(b.topics, b.create(topic))
	}
	return &b.topics[i]
}

// Topics are the parts in the order in which they were made; nil if none was.
func (b *ByTopic[T]) Topics() []T { return b.topics }
