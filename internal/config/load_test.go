package config

import (
	"io/fs"
	"log/slog"
	"strings"
	"testing"
)

func files(text string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if name != "c.toml" {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
}

func source(s *Server, name string) string {
	for _, e := range s.Effective {
		if e.Name == name {
			return e.Value + " from " + e.Source
		}
	}
	return "absent"
}

func TestLoadOrder(t *testing.T) {
	s, err := Load(Inputs{
		Flags: map[string]string{"kafka-port": "1", "config": "c.toml"},
		Env:   []string{"CHRONIK_KAFKA_PORT=2", "CHRONIK_HTTP_PORT=3", "CHRONIK_KAFKA_LOG_RETENTION_MS=4", "PATH=/bin", "CHRONIK_LOG_LEVEL=warn"},
		ReadFile: files(`
			kafka-port = 5
			http-port = 6
			data-dir = "/var/lib/chronik"
			[kafka]
			log.retention.ms = 7
			"log.cleanup.policy" = ["delete", "compact"]
			log.cleaner.min.cleanable.ratio = 0.25
			auto.create.topics.enable = false`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"kafka-port":                      "1 from flag --kafka-port",
		"http-port":                       "3 from environment CHRONIK_HTTP_PORT",
		"data-dir":                        "/var/lib/chronik from file c.toml",
		"bind-addr":                       "127.0.0.1 from default",
		"log.retention.ms":                "4 from environment CHRONIK_KAFKA_LOG_RETENTION_MS",
		"log.cleanup.policy":              "delete,compact from file c.toml",
		"log.cleaner.min.cleanable.ratio": "0.25 from file c.toml",
		"auto.create.topics.enable":       "false from file c.toml",
		"num.partitions":                  "absent",
	} {
		if got := source(s, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if s.KafkaPort != 1 || s.HTTPPort != 3 || s.AdvertisedHost != "127.0.0.1" || s.LogLevel != slog.LevelWarn || s.NodeID != 1 {
		t.Errorf("parsed %+v", s)
	}
	keys := s.StaticKeys(9)
	for name, want := range map[string]string{"listeners": "PLAINTEXT://127.0.0.1:9", "advertised.listeners": "PLAINTEXT://127.0.0.1:9",
		"node.id": "1", "log.dirs": "/var/lib/chronik", "log.retention.ms": "4"} {
		if keys[name] != want {
			t.Errorf("%s = %s, want %s", name, keys[name], want)
		}
	}
	if _, err := (Layers{Static: keys}).DescribeBroker(); err != nil {
		t.Errorf("the static keys do not parse: %v", err)
	}
}

func TestDefaultsLoad(t *testing.T) {
	s, err := Load(Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	if s.KafkaPort != 9092 || s.HTTPPort != 6092 || s.BindAddr != "127.0.0.1" || s.DataDir != "./data" {
		t.Errorf("defaults %+v", s)
	}
}

func TestDataDirs(t *testing.T) {
	for _, in := range []Inputs{
		{Flags: map[string]string{"data-dir": "/a, /b,/ab"}},
		{Env: []string{"CHRONIK_DATA_DIR=/a,/b,/ab"}},
		{Flags: map[string]string{"config": "c.toml"}, ReadFile: files(`data-dir = ["/a", "/b", "/ab"]`)},
	} {
		s, err := Load(in)
		if err != nil {
			t.Errorf("%v: %v", in, err)
			continue
		}
		if keys := s.StaticKeys(1); s.DataDir != "/a" || strings.Join(s.DataDirs, " ") != "/a /b /ab" || keys["log.dirs"] != "/a,/b,/ab" || keys["log.dir"] != "/a" {
			t.Errorf("%v: %s, %v, log.dirs %s", in, s.DataDir, s.DataDirs, keys["log.dirs"])
		}
	}
}

func TestProblemsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Inputs
		want string
	}{
		{"unknown in file", Inputs{ReadFile: files("kafka-prot = 1")}, `file c.toml: there is no setting "kafka-prot"; did you mean "kafka-port"?`},
		{"kafka key on top", Inputs{ReadFile: files(`"num.partitions" = 1`)}, "move it into the table [kafka]"},
		{"other table", Inputs{ReadFile: files("[server]\nport = 1")}, "there is no table [server]"},
		{"kafka misspelt", Inputs{ReadFile: files("[kafka]\nlog.retenton.ms = 1")}, "did you mean \"log.retention.ms\"?"},
		{"topic key", Inputs{ReadFile: files("[kafka]\nretention.ms = 1")}, "its default for all topics is the broker key log.retention.ms"},
		{"derived", Inputs{ReadFile: files("[kafka]\nlisteners = \"PLAINTEXT://:9092\"")}, "remove it and set bind-addr and kafka-port"},
		{"bad value", Inputs{ReadFile: files("[kafka]\nnum.partitions = 0")}, "file c.toml: Invalid value 0 for configuration num.partitions: Value must be at least 1"},
		{"nested trap", Inputs{ReadFile: files("[kafka]\nmax.connections = 1\nmax.connections.per.ip = 2")}, `put both into quotes`},
		{"syntax", Inputs{ReadFile: files("kafka-port = ")}, "c.toml: line 1:"},
		{"config in file", Inputs{ReadFile: files(`config = "x"`)}, "cannot be set in the file itself"},
		{"missing file", Inputs{Env: []string{"CHRONIK_CONFIG=nope.toml"}, ReadFile: files("")}, "there is no file nope.toml"},
		{"unknown variable", Inputs{Env: []string{"CHRONIK_HTPP_PORT=1"}}, "environment CHRONIK_HTPP_PORT: no setting has this name"},
		{"unknown kafka variable", Inputs{Env: []string{"CHRONIK_KAFKA_NUM_PARTITION=1"}}, "did you mean \"num.partitions\"?"},
		{"service link as port", Inputs{Env: []string{"CHRONIK_KAFKA_PORT=tcp://10.0.0.1:9092"}}, "enableServiceLinks: false"},
		{"port", Inputs{Flags: map[string]string{"kafka-port": "70000"}}, `kafka-port (flag --kafka-port): "70000" is not a port`},
		{"same ports", Inputs{Flags: map[string]string{"http-port": "9092"}}, "kafka-port and http-port are both 9092"},
		{"wildcard", Inputs{Flags: map[string]string{"bind-addr": "0.0.0.0"}}, "set advertised-addr"},
		{"advertised wildcard", Inputs{Flags: map[string]string{"advertised-addr": "0.0.0.0:1"}}, "not an address that clients can connect to"},
		{"bind with port", Inputs{Flags: map[string]string{"bind-addr": "localhost:9092"}}, "put it into kafka-port"},
		{"no directory", Inputs{Flags: map[string]string{"data-dir": "/a,,/b"}}, "name one, or remove the comma"},
		{"one directory twice", Inputs{Flags: map[string]string{"data-dir": "/a,/b/../a"}}, "overlap"},
		{"a directory in another", Inputs{Env: []string{"CHRONIK_DATA_DIR=/a/b,/a"}}, "/a/b and /a overlap"},
		{"log level", Inputs{Flags: map[string]string{"log-level": "loud"}}, "want debug, info, warn or error"},
	} {
		if c.in.ReadFile != nil && c.in.Env == nil {
			c.in.Flags = map[string]string{"config": "c.toml"}
		}
		_, err := Load(c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nwant one with %q", c.name, err, c.want)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Load(Inputs{Flags: map[string]string{"kafka-port": "x", "log-level": "y"}, Env: []string{"CHRONIK_FOO=1"}})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 3 {
		t.Errorf("error %v, want three lines", err)
	}
}

func TestKubernetesServiceVariablesArePassedOver(t *testing.T) {
	s, err := Load(Inputs{Env: []string{
		"CHRONIK_SERVICE_HOST=10.0.0.1", "CHRONIK_SERVICE_PORT=9092", "CHRONIK_SERVICE_PORT_KAFKA=9092", "CHRONIK_PORT=tcp://10.0.0.1:9092",
		"CHRONIK_PORT_9092_TCP=tcp://10.0.0.1:9092", "CHRONIK_KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", "CHRONIK_KAFKA_SERVICE_HOST=10.0.0.1",
	}})
	if err != nil || len(s.Kafka) != 0 {
		t.Errorf("error %v, Kafka keys %v", err, s)
	}
}

func TestAdvertised(t *testing.T) {
	for addr, want := range map[string]string{"kafka.example": "kafka.example:9", "kafka.example:77": "kafka.example:77", "[::1]:5": "[::1]:5", "::1": "[::1]:9"} {
		s, err := Load(Inputs{Flags: map[string]string{"advertised-addr": addr, "bind-addr": "0.0.0.0"}})
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if got := s.StaticKeys(9)["advertised.listeners"]; got != "PLAINTEXT://"+want {
			t.Errorf("%s is advertised as %s, want %s", addr, got, want)
		}
	}
}
