package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"time"

	"chronik/internal/broker/api"
	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/replica"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// lockName keeps two processes from using one data directory.
const lockName = ".lock"

// openDirectory takes the data directory and learns whose it is.
func (n *Node) openDirectory(context.Context) error {
	dir := n.settings.DataDir
	if err := n.env.FS.MkdirAll(dir); err != nil {
		return fmt.Errorf("%w; choose a directory that this user may write with --data-dir", err)
	}
	lock, err := n.env.FS.Lock(path.Join(dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%s is in use by another chronik-server: stop it, or choose another directory with --data-dir", dir)
	}
	if err != nil {
		return err
	}
	n.lock = lock
	n.identity, err = quorum.OpenIdentity(n.env.FS, dir, n.settings.NodeID, func() quorum.Identity {
		return quorum.Identity{
			ClusterID: model.NewTopicID().String(), NodeID: n.settings.NodeID, Directory: image.UUID(model.NewTopicID()),
		}
	})
	return err
}

func (n *Node) openMetadata(context.Context) error {
	n.meta = wal.NewCommitter(wal.CommitterOptions{FS: n.env.FS, Workers: 1, OpenFiles: 8, Tick: n.env.Tick, Now: n.env.Now})
	journal, err := n.openJournal()
	if err != nil {
		return err
	}
	n.data = wal.NewCommitter(wal.CommitterOptions{FS: n.env.FS, Tick: n.env.Tick, Now: n.env.Now, Journal: journal})
	n.quorum, err = quorum.OpenLocal(quorum.Options{
		FS: n.env.FS, Dir: path.Join(n.settings.DataDir, "wal", "__meta"), ClusterID: n.identity.ClusterID,
		Committer: n.meta, Now: n.env.Now, Log: n.env.Log, SnapshotEvery: n.env.SnapshotEvery,
	})
	return err
}

// openJournal puts back what the partitions' logs share, before any of them is opened.
func (n *Node) openJournal() (*wal.Journal, error) {
	j, replay, err := wal.OpenJournal(wal.JournalOptions{FS: n.env.FS, Root: path.Join(n.settings.DataDir, "wal")})
	if err != nil {
		return nil, err
	}
	if replay.Rot != nil {
		n.env.Log.Error("corruption in the journal: some partitions may lack their last records; compare them with a replica or a backup",
			"error", replay.Rot)
	}
	if replay.Segments > 0 {
		n.env.Log.Info("replayed the journal", "segments", replay.Segments, "bytes", replay.Bytes, "skipped", replay.Skipped)
	}
	return j, nil
}

// register follows the metadata and tells the cluster where this broker is reached.
func (n *Node) register(ctx context.Context) error {
	port := n.settings.KafkaPort
	if tcp, ok := n.kafka.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	static := n.settings.StaticKeys(port)
	var err error
	n.replicas, err = replica.NewSet(replica.Env{
		FS: n.env.FS, DataDir: n.settings.DataDir, Committer: n.data, Now: n.env.Now, Log: n.env.Log, Node: n.settings.NodeID,
	})
	if err != nil {
		return err
	}
	n.follower = &follower{node: n.settings.NodeID, static: static, replicas: n.replicas, log: n.env.Log}
	if err := n.follower.start(n.quorum.Images().Load()); err != nil {
		return err
	}
	n.quorum.Follow(n.follower.apply)
	_, err = n.quorum.Propose(ctx, func(im *image.Image) ([]*command.Command, error) {
		return controller.RegisterNode(controller.Inputs{Image: im, Static: static, NodeID: n.settings.NodeID}, n.registration(port))
	})
	return err
}

func (n *Node) registration(port int) controller.Registration {
	if n.settings.AdvertisedPort != 0 {
		port = n.settings.AdvertisedPort
	}
	return controller.Registration{
		ClusterID: n.identity.ClusterID, ID: n.settings.NodeID, Directory: n.identity.Directory,
		Incarnation: image.UUID(model.NewTopicID()), Rack: n.follower.broker().Rack,
		Endpoints: []image.Endpoint{{Listener: ListenerName, Host: n.settings.AdvertisedHost, Port: uint16(port), SecurityProtocol: "PLAINTEXT"}},
	}
}

// openPartitions clears away what deleted topics left, and builds the broker. The logs open later.
func (n *Node) openPartitions(context.Context) error {
	if err := n.replicas.RemoveStrays(); err != nil {
		return err
	}
	var err error
	n.broker, err = api.New(api.Deps{
		NodeID: n.settings.NodeID, DataDir: n.settings.DataDir, Metadata: n.quorum, Replicas: n.replicas,
		Static: n.follower.static, Config: n.follower.broker,
		Space: func() (uint64, uint64, error) { return n.env.FS.Space(n.settings.DataDir) },
	})
	return err
}

// retention looks after old records until ctx ends.
func (n *Node) retention(ctx context.Context) {
	for {
		every := time.Duration(n.follower.broker().RetentionCheckMs) * time.Millisecond
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			n.replicas.EnforceRetention(ctx)
		}
	}
}

// requestMemory is how many bytes of requests all connections may hold together: queued.max.request.bytes, or half
// a GiB, and never less than one largest request needs while its frame grows.
func requestMemory(c *config.Broker) int64 {
	const fallback = 512 << 20
	limit := c.QueuedMaxRequestBytes
	if limit <= 0 {
		limit = fallback
	}
	return max(limit, 3*int64(c.SocketRequestMaxBytes))
}
