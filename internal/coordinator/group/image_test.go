package group

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

func withTopics(w *world, names ...string) {
	w.image = image.New("c")
	w.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	for i, name := range names {
		w.change(newTopic(name, byte(i+1)))
	}
}

func newTopic(name string, id byte) *command.Command {
	return command.Create(&command.CreateTopic{
		Name: name, TopicId: slices.Concat([]byte{id}, make([]byte, 15)), Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}},
	})
}

// deleteTopic deletes a topic, and creates another one of its name at once if it is to have an ID.
func (w *world) deleteTopic(name string, again byte) {
	cs := []*command.Command{command.Delete(w.image.Topic(name).ID)}
	if again != 0 {
		cs = append(cs, newTopic(name, again))
	}
	w.Tell(cs...)
}

func topicID(id byte) model.TopicID { return model.TopicID{id} }
