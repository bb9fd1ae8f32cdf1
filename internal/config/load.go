package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Inputs is all that Load looks at.
type Inputs struct {
	Flags    map[string]string                 // the flags that were given, by setting name
	Env      []string                          // "NAME=value", as os.Environ returns them
	ReadFile func(name string) ([]byte, error) // reads the configuration file
}

const (
	envPrefix      = "CHRONIK_"
	envKafkaPrefix = envPrefix + "KAFKA_"
)

// given is a value with the place where a person wrote it.
type given struct{ value, source string }

// Load works out the settings: flag over environment over file over default, and for Kafka's broker keys
// environment over file. Everything that is wrong is reported at once, each line saying what to do.
func Load(in Inputs) (*Server, error) {
	l := loader{settings: map[string]given{}, kafka: map[string]given{}}
	l.defaults()
	env := parseEnv(in.Env)
	if name := cmp.Or(in.Flags["config"], env[envPrefix+"CONFIG"]); name != "" {
		l.file(name, in.ReadFile)
	}
	l.environment(env)
	for _, name := range sortedKeys(in.Flags) {
		l.setting(name, given{in.Flags[name], "flag --" + name})
	}
	return l.server()
}

type loader struct {
	settings map[string]given
	kafka    map[string]given
	problems []error
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf(format, args...))
}

func (l *loader) defaults() {
	for _, s := range Settings {
		l.settings[s.Name] = given{s.Default, "default"}
	}
}

func (l *loader) setting(name string, v given) {
	if _, ok := l.settings[name]; !ok {
		l.problem("%s: there is no setting %q%s", v.source, name, didYouMean(name, l.settings))
		return
	}
	l.settings[name] = v
}

func didYouMean[T any](name string, known map[string]T) string {
	if s := similar(name, known); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return ""
}

// kafkaKey takes a value for a broker key, or says why it cannot be set.
func (l *loader) kafkaKey(name string, v given) {
	if setting, ok := derived[name]; ok {
		l.problem("%s: %s follows from other settings here: remove it and set %s", v.source, name, setting)
		return
	}
	k, err := Lookup(ScopeBroker, name)
	if err != nil {
		l.problem("%s: %s", v.source, adviseUnknown(name))
		return
	}
	if _, err := k.Parse(v.value); err != nil {
		l.problem("%s: %w", v.source, err)
		return
	}
	l.kafka[name] = v
}

// adviseUnknown says what to do about a name that is not a broker key.
func adviseUnknown(name string) string {
	if k, ok := topicIndex[name]; ok {
		if len(k.Synonyms) > 0 {
			return fmt.Sprintf("%s is a key of topics: its default for all topics is the broker key %s", name, k.Synonyms[0].Name)
		}
		return fmt.Sprintf("%s is a key of topics: set it on the topic", name)
	}
	return fmt.Sprintf("%s is not a broker key that Chronik knows%s; remove it, or look it up in docs/operations/configuration.md",
		name, didYouMean(name, brokerIndex))
}

func parseEnv(environ []string) map[string]string {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	return env
}

// environment reads CHRONIK_<SETTING>, and CHRONIK_KAFKA_<KEY> with the dots of the key as underscores.
func (l *loader) environment(env map[string]string) {
	byEnv := map[string]string{}
	for _, s := range Settings {
		byEnv[s.Env()] = s.Name
	}
	for _, name := range sortedKeys(env) {
		v := given{env[name], "environment " + name}
		switch {
		case byEnv[name] != "":
			l.settings[byEnv[name]] = v
		case isServiceLink(name, v.value):
			// Kubernetes describes a Service named chronik or chronik-* to every pod in this way.
		case strings.HasPrefix(name, envKafkaPrefix):
			l.kafkaKey(envKey(name), v)
		default:
			l.problem("%s: no setting has this name%s; remove it", v.source, didYouMean(strings.ToLower(name), lowered(byEnv)))
		}
	}
}

func envKey(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envKafkaPrefix)), "_", ".")
}

func lowered(m map[string]string) map[string]string {
	low := make(map[string]string, len(m))
	for k, v := range m {
		low[strings.ToLower(k)] = v
	}
	return low
}

// isServiceLink recognises the variables that Kubernetes sets for a Service: X_SERVICE_HOST, X_SERVICE_PORT,
// X_SERVICE_PORT_NAME, X_PORT, X_PORT_9092_TCP and so on.
func isServiceLink(name, value string) bool {
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name+"_", "_SERVICE_PORT_") {
		return true
	}
	_, rest, ok := strings.Cut(name+"_", "_PORT_")
	if !ok {
		return false
	}
	digits, proto, _ := strings.Cut(rest, "_")
	return rest == "" && strings.Contains(value, "://") || isID(digits) && (strings.HasPrefix(proto, "TCP_") || strings.HasPrefix(proto, "UDP_"))
}

// server parses what was gathered.
func (l *loader) server() (*Server, error) {
	s := &Server{Kafka: make(map[string]string, len(l.kafka))}
	for _, set := range Settings {
		v := l.settings[set.Name]
		if err := set.set(s, v.value); err != nil {
			l.problem("%s (%s): %w", set.Name, v.source, err)
		}
		s.Effective = append(s.Effective, Effective{set.Name, v.value, v.source})
	}
	for _, name := range sortedKeys(l.kafka) {
		v := l.kafka[name]
		s.Kafka[name] = v.value
		s.Effective = append(s.Effective, Effective{name, shown(name, v.value), v.source})
	}
	if len(l.problems) == 0 {
		if err := s.finish(); err != nil {
			l.problems = append(l.problems, err)
		}
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(l.problems...)
	}
	return s, nil
}

// shown hides what must not be shown.
func shown(name, value string) string {
	if k, ok := brokerIndex[name]; ok && k.Sensitive() {
		return "[hidden]"
	}
	return value
}
