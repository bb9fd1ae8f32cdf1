package command

import "fmt"

// The format versions of batches and snapshots. A program reads all up to its own newest one, and writes the lowest
// that the content needs, so that a node alone stays readable for the program that it was upgraded from.
const (
	// VersionStandalone is the format of a node alone.
	VersionStandalone = 1
	// VersionCluster adds what more than one node needs. It takes effect once the feature metadata.version is
	// finalized at this level, which needs every registered node's support.
	VersionCluster = 2

	// FormatVersion is the newest version that this program reads and writes.
	FormatVersion = VersionCluster
)

// MetadataVersion is the feature whose finalized level is the newest format version that may be written.
const MetadataVersion = "metadata.version"

// Version returns the lowest format version that can express the commands.
func Version(commands []*Command) uint32 {
	v := uint32(VersionStandalone)
	for _, c := range commands {
		v = max(v, VersionOf(c))
	}
	return v
}

// VersionOf returns the lowest format version that can express one command.
func VersionOf(c *Command) uint32 {
	switch k := c.GetKind().(type) {
	case *Command_ChangePartitions, *Command_StopNode:
		return VersionCluster
	case *Command_AddNode:
		if len(k.AddNode.Features) > 0 {
			return VersionCluster
		}
	}
	return VersionStandalone
}

// CheckVersion refuses a format version that this program does not read.
func CheckVersion(v uint32) error {
	if v >= VersionStandalone && v <= FormatVersion {
		return nil
	}
	return fmt.Errorf("%w: its format version is %d, this program reads %d to %d; run the version of Chronik that wrote it, or a newer one",
		ErrFormat, v, VersionStandalone, FormatVersion)
}
