package config

import (
	"fmt"
	"log/slog"
	"net"
	"path"
	"strconv"
	"strings"

	"chronik/internal/model"
)

// Server holds the settings of the process: what is needed before any Kafka key has a meaning.
type Server struct {
	NodeID         model.BrokerID
	BindAddr       string   // host or IP address to listen on
	KafkaPort      int      // 0: any free port
	HTTPPort       int      // 0: any free port
	AdvertisedHost string   // what clients are told to connect to
	AdvertisedPort int      // 0: the port listened on
	DataDir        string   // the first data directory: metadata, and partitions
	DataDirs       []string // all of them, without duplicates
	ConfigFile     string   // empty if there is none
	LogLevel       slog.Level

	// Of a node of a cluster; see Clustered.

	RaftAddr        string // host:port for other nodes; empty: the node is alone
	Peers           []Peer // the other nodes, by ID
	ReplicationPort int
	Rack            string
	SecretFile      string // empty: TLS tells who is who, or nodes are believed
	TLS             ClusterTLS

	// Kafka are the broker keys that file and environment set. StaticKeys has these and the derived ones.
	Kafka map[string]string

	// Effective lists every setting, and every Kafka key that was set, with its value and where it came from.
	Effective []Effective
}

// Effective is one value in effect and where it came from, for people.
type Effective struct {
	Name, Value, Source string
}

// Setting describes one setting of the process: flag --name, environment variable Env(), key name in the file.
type Setting struct {
	Name    string
	Default string
	Doc     string
	List    bool // a list of values with commas between them; its flag may be given more than once

	set func(*Server, string) error
}

// Env is the environment variable of the setting.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings are the settings of the process. Callers must not change them.
var Settings = append([]Setting{
	{Name: "kafka-port", Default: "9092", set: func(s *Server, v string) (err error) { s.KafkaPort, err = parsePort(v); return },
		Doc: "TCP port for Kafka clients; 0 takes any free one."},
	{Name: "bind-addr", Default: "127.0.0.1", set: setBindAddr,
		Doc: "Host or IP address to listen on, for Kafka clients and for HTTP. 0.0.0.0 or :: listens on all, and needs `advertised-addr`."},
	{Name: "advertised-addr", Default: "", set: setAdvertised,
		Doc: "Host, or host:port, that clients are told to connect to. Unset, it is `bind-addr` and `kafka-port`."},
	{Name: "data-dir", Default: "./data", set: setDataDir, List: true,
		Doc: "Directories of everything that is stored, one for each disk: Kafka's `log.dirs`. They are made if they do not exist. The first one holds the metadata, and should be on the best disk."},
	{Name: "http-port", Default: "6092", set: func(s *Server, v string) (err error) { s.HTTPPort, err = parsePort(v); return },
		Doc: "TCP port for health, readiness and metrics; 0 takes any free one."},
	{Name: "node-id", Default: "1", set: setNodeID,
		Doc: "Number of this node in its cluster: Kafka's `node.id`. It stays with the data directory from the first start on."},
	{Name: "config", Default: "", set: func(s *Server, v string) error { s.ConfigFile = v; return nil },
		Doc: "TOML file with these settings and, in a table [kafka], Kafka's broker keys. It cannot be named in the file itself."},
	{Name: "log-level", Default: "info", set: setLogLevel,
		Doc: "The least severe messages to log: debug, info, warn or error."},
}, clusterSettings...)

func parsePort(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port: want a number from 0 to 65535%s", v, serviceLinkHint(v))
	}
	return int(n), nil
}

// serviceLinkHint explains the value that Kubernetes puts into the environment for a Service of the same name.
func serviceLinkHint(v string) string {
	if !strings.Contains(v, "://") {
		return ""
	}
	return "; it looks like a variable that Kubernetes sets for a Service: set enableServiceLinks: false on the pod, or name the Service differently"
}

func setBindAddr(s *Server, v string) error {
	if v == "" || strings.ContainsAny(v, " /") {
		return fmt.Errorf("%q is not an address: want a host name or an IP address, without a port", v)
	}
	if _, _, err := net.SplitHostPort(v); err == nil {
		return fmt.Errorf("%q has a port: put it into kafka-port", v)
	}
	s.BindAddr = strings.Trim(v, "[]")
	return nil
}

func setAdvertised(s *Server, v string) error {
	if v == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil { // no port
		s.AdvertisedHost = strings.Trim(v, "[]")
	} else {
		s.AdvertisedHost = host
		if s.AdvertisedPort, err = parsePort(port); err != nil {
			return err
		}
	}
	if s.AdvertisedHost == "" || strings.ContainsAny(s.AdvertisedHost, " /") || isWildcard(s.AdvertisedHost) {
		return fmt.Errorf("%q is not an address that clients can connect to: want a host or host:port", v)
	}
	return nil
}

func setDataDir(s *Server, v string) error {
	s.DataDirs = nil
	for dir := range strings.SplitSeq(v, ",") {
		if dir = strings.TrimSpace(dir); dir == "" {
			return fmt.Errorf("%q names no directory in one place: name one, or remove the comma", v)
		}
		for _, other := range s.DataDirs {
			if within(dir, other) || within(other, dir) {
				return fmt.Errorf("%s and %s overlap: each directory needs a place, and should have a disk, of its own", other, dir)
			}
		}
		s.DataDirs = append(s.DataDirs, dir)
	}
	s.DataDir = s.DataDirs[0]
	return nil
}

// within tells whether a directory is another one or lies below it, as far as the names tell.
func within(dir, of string) bool {
	dir, of = path.Clean(dir), path.Clean(of)
	return dir == of || strings.HasPrefix(dir, strings.TrimSuffix(of, "/")+"/") || of == "." && !path.IsAbs(dir) && !strings.HasPrefix(dir, "..")
}

func setNodeID(s *Server, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a node ID: want a number from 0 to 2147483647", v)
	}
	s.NodeID = model.BrokerID(n)
	return nil
}

func setLogLevel(s *Server, v string) error {
	if err := s.LogLevel.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is not a log level: want debug, info, warn or error", v)
	}
	return nil
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// finish fills in what follows from other settings, and refuses what cannot work.
func (s *Server) finish() error {
	if s.AdvertisedHost == "" {
		if isWildcard(s.BindAddr) {
			return fmt.Errorf("bind-addr %s listens on every address, but clients need one to connect to: set advertised-addr", s.BindAddr)
		}
		s.AdvertisedHost = s.BindAddr
	}
	if s.KafkaPort != 0 && s.KafkaPort == s.HTTPPort {
		return fmt.Errorf("kafka-port and http-port are both %d: change one of them", s.KafkaPort)
	}
	return s.finishCluster()
}

// derived are the broker keys that follow from settings, and which.
var derived = map[string]string{
	"listeners":            "bind-addr and kafka-port",
	"advertised.listeners": "advertised-addr",
	"node.id":              "node-id",
	"broker.id":            "node-id",
	"log.dir":              "data-dir",
	"log.dirs":             "data-dir",
}

// StaticKeys returns the static values of the broker keys, with those that follow from settings. kafkaPort
// is the port that is really listened on.
func (s *Server) StaticKeys(kafkaPort int) map[string]string {
	keys := make(map[string]string, len(s.Kafka)+len(derived))
	for k, v := range s.Kafka {
		keys[k] = v
	}
	advertisedPort := s.AdvertisedPort
	if advertisedPort == 0 {
		advertisedPort = kafkaPort
	}
	id := strconv.Itoa(int(s.NodeID))
	keys["listeners"] = "PLAINTEXT://" + net.JoinHostPort(s.BindAddr, strconv.Itoa(kafkaPort))
	keys["advertised.listeners"] = "PLAINTEXT://" + net.JoinHostPort(s.AdvertisedHost, strconv.Itoa(advertisedPort))
	keys["node.id"], keys["broker.id"] = id, id
	keys["log.dir"], keys["log.dirs"] = s.DataDir, strings.Join(s.DataDirs, ",")
	return keys
}
