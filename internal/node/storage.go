package node

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"chronik/internal/wait"
	"chronik/internal/wal"
)

// lockName keeps two processes from using one data directory.
const lockName = ".lock"

// openDirectory takes the data directories. Any but the first may fail: the node goes on without the partitions in it.
func (n *Node) openDirectory(context.Context) error {
	for i, dir := range n.settings.DataDirs {
		err := n.env.FS.MkdirAll(dir)
		if err != nil {
			err = fmt.Errorf("%w; choose a directory that this user may write with --data-dir", err)
		}
		var lock io.Closer
		if err == nil {
			lock, err = n.env.FS.Lock(path.Join(dir, lockName))
		}
		if errors.Is(err, vfs.ErrLocked) {
			return fmt.Errorf("%s is in use by another chronik-server: stop it, or choose another directory with --data-dir", dir)
		}
		if err != nil && i == 0 {
			return err
		}
		if lock != nil {
			n.locks = append(n.locks, lock)
		}
		n.disks = append(n.disks, replica.Disk{Dir: dir, Failed: err})
	}
	return nil
}

// identify learns, or decides, whose data the directory of a node alone holds.
func (n *Node) identify(context.Context) (err error) {
	n.identity, err = quorum.OpenIdentity(n.env.FS, n.settings.DataDir, n.settings.NodeID, func() quorum.Identity {
		return newIdentity(model.NewTopicID().String(), n.settings.NodeID)
	})
	return err
}

// identifyOther does so for another data directory. It must be of the same node; fatal tells that it is not.
func (n *Node) identifyOther(dir string) (fatal bool, err error) {
	id, err := quorum.OpenIdentity(n.env.FS, dir, n.settings.NodeID, func() quorum.Identity {
		return newIdentity(n.identity.ClusterID, n.settings.NodeID)
	})
	if err == nil && id.ClusterID != n.identity.ClusterID {
		return true, fmt.Errorf("%s belongs to cluster %s, and %s to cluster %s: a node's directories belong together", dir, id.ClusterID, n.settings.DataDir, n.identity.ClusterID)
	}
	if err == nil && id.Directory == n.identity.Directory {
		return true, fmt.Errorf("%s is a copy of %s, or the same directory: remove one of them from --data-dir", dir, n.settings.DataDir)
	}
	if err == nil {
		n.known[id.Directory.String()] = true
	}
	return errors.Is(err, quorum.ErrOtherNode), err
}

// openLane brings up what writes metadata.
func (n *Node) openLane(context.Context) error {
	n.meta = wal.NewCommitter(wal.CommitterOptions{FS: n.env.FS, Workers: 1, OpenFiles: 8, Tick: n.env.Tick, Now: n.env.Now})
	return nil
}

// openDisk brings up what writes records, for each data directory.
func (n *Node) openDisk(context.Context) (err error) {
	if n.cluster != nil {
		if n.cluster.losses, err = replica.OpenLosses(n.env.FS, n.settings.DataDir); err != nil {
			return err
		}
	}
	for i := range n.disks {
		d := &n.disks[i]
		fatal := i == 0
		if err := d.Failed; err == nil && i > 0 {
			fatal, d.Failed = n.identifyOther(d.Dir)
		}
		var journal *wal.Journal
		if d.Failed == nil {
			journal, d.Failed = n.openJournal(d.Dir)
		}
		if d.Failed != nil && fatal {
			return d.Failed
		}
		d.Committer = wal.NewCommitter(wal.CommitterOptions{FS: n.env.FS, Tick: n.env.Tick, Now: n.env.Now, Journal: journal})
	}
	return n.noteDirs()
}

// offlineDirs is how many data directories cannot be used.
func (n *Node) offlineDirs() (sum int) {
	for _, d := range n.replicas.Dirs() {
		if d.Err != nil {
			sum++
		}
	}
	return sum
}

// openFiles is how many files of logs are open.
func (n *Node) openFiles() (sum int) {
	for _, d := range n.disks {
		sum += d.Committer.OpenFiles()
	}
	return sum
}

// openMetadata opens the metadata log of a node alone.
func (n *Node) openMetadata(context.Context) error {
	local, err := quorum.OpenLocal(n.metadataOptions())
	if err != nil {
		return err
	}
	n.local, n.quorum = local, local
	return nil
}

func (n *Node) metadataOptions() quorum.Options {
	return quorum.Options{
		FS: n.env.FS, Dir: path.Join(n.settings.DataDir, "wal", "__meta"), ClusterID: n.identity.ClusterID,
		Committer: n.meta, Now: n.env.Now, Log: n.env.Log, SnapshotEvery: n.env.SnapshotEvery,
	}
}

// openJournal puts back what the partitions' logs on one disk share, before any of them is opened.
func (n *Node) openJournal(dir string) (*wal.Journal, error) {
	o := wal.JournalOptions{FS: n.env.FS, Root: path.Join(dir, "wal")}
	if n.cluster != nil {
		o.Rotten = func(error) error { return n.cluster.losses.NoteAll() }
	}
	j, replay, err := wal.OpenJournal(o)
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

// register follows the metadata and tells the cluster, which is this node alone, where it is reached.
func (n *Node) register(ctx context.Context) error {
	n.follower = n.newFollower()
	if err := n.openReplicas(replica.Env{}); err != nil {
		return err
	}
	if err := n.follower.start(n.local.Images().Load()); err != nil {
		return err
	}
	n.local.Follow(n.follower.apply)
	_, err := n.local.Propose(ctx, func(im *image.Image) ([]*command.Command, error) {
		return controller.RegisterNode(controller.Inputs{Image: im, Static: n.follower.static, NodeID: n.settings.NodeID}, n.registration())
	})
	return err
}

func (n *Node) newFollower() *follower {
	return &follower{node: n.settings.NodeID, static: n.settings.StaticKeys(n.kafkaPort()), log: n.env.Log}
}

// openReplicas prepares for partitions. The environment may have what partitions with several replicas need.
func (n *Node) openReplicas(env replica.Env) (err error) {
	env.FS, env.Disks, env.Now, env.Log, env.Node, env.DiskGone = n.env.FS, n.disks, n.env.Now, n.env.Log, n.settings.NodeID, n.diskGone
	n.replicas, err = replica.NewSet(env)
	n.follower.replicas = n.replicas
	if err == nil {
		n.openCoordinators()
	}
	return err
}

// kafkaPort is the port that is really listened on.
func (n *Node) kafkaPort() int {
	if tcp, ok := n.kafka.Addr().(*net.TCPAddr); ok {
		return tcp.Port
	}
	return n.settings.KafkaPort
}

func (n *Node) registration() controller.Registration {
	port := n.kafkaPort()
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
	return n.openBroker(nil)
}

func (n *Node) openBroker(others *api.Cluster) (err error) {
	n.broker, err = api.New(api.Deps{
		NodeID: n.settings.NodeID, Metadata: n.quorum, Replicas: n.replicas,
		Static: n.follower.static, Config: n.follower.broker, Cluster: others,
		Space: n.env.FS.Space, Groups: n.groups, Transactions: n.txns, Shares: n.shares, ShareStates: n.shareStates, Sharing: n.sharing,
	})
	if err == nil {
		close(n.opened)
	}
	return err
}

// retention looks after old records until ctx ends.
func (n *Node) retention(ctx context.Context) {
	every := func() time.Duration { return time.Duration(n.follower.broker().RetentionCheckMs) * time.Millisecond }
	for wait.For(ctx, every()) == nil {
		n.replicas.EnforceRetention(ctx)
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
