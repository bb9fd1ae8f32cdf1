package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// file reads the TOML file: settings at the top, Kafka's broker keys in the table [kafka], quoted
// ("log.retention.ms" = 1000) or dotted (log.retention.ms = 1000).
func (l *loader) file(name string, read func(string) ([]byte, error)) {
	text, err := read(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			l.problem("config: there is no file %s: create it, or remove --config or CHRONIK_CONFIG", name)
		} else {
			l.problem("config: cannot read %s: %w", name, err)
		}
		return
	}
	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		l.problem("%s: %s", name, tomlProblem(err))
		return
	}
	source := "file " + name
	for _, key := range sortedKeys(doc) {
		switch key {
		case "kafka":
			table, ok := doc[key].(map[string]any)
			if !ok {
				l.problem("%s: kafka must be a table: write [kafka] on a line of its own and the keys below it", source)
				continue
			}
			l.kafkaTable("", table, source)
		case "config":
			l.problem("%s: config cannot be set in the file itself: remove it", source)
		default:
			l.fileSetting(key, doc[key], source)
		}
	}
}

func (l *loader) fileSetting(key string, value any, source string) {
	if _, isTable := value.(map[string]any); isTable {
		l.problem("%s: there is no table [%s]: Kafka's keys go into [kafka], settings stand above all tables", source, key)
		return
	}
	if _, ok := brokerIndex[key]; ok {
		l.problem("%s: %s is a Kafka key: move it into the table [kafka]", source, key)
		return
	}
	text, err := tomlText(value)
	if err != nil {
		l.problem("%s: %s: %w", source, key, err)
		return
	}
	l.setting(key, given{text, source})
}

// kafkaTable takes a table apart: TOML reads log.retention.ms = 1 as nested tables.
func (l *loader) kafkaTable(prefix string, table map[string]any, source string) {
	for _, key := range sortedKeys(table) {
		name := prefix + key
		if nested, ok := table[key].(map[string]any); ok {
			l.kafkaTable(name+".", nested, source)
			continue
		}
		text, err := tomlText(table[key])
		if err != nil {
			l.problem("%s: [kafka] %s: %w", source, name, err)
			continue
		}
		l.kafkaKey(name, given{text, source})
	}
}

// tomlText is the value as it would be written in a properties file.
func tomlText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return formatDouble(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			s, err := tomlText(e)
			if err != nil {
				return "", err
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("a value of this kind (%T) is not allowed: want text, a number, true, false or an array", v)
}

// tomlProblem adds the line, and the advice for the one trap of dotted keys: max.connections and
// max.connections.per.ip cannot stand side by side unquoted.
func tomlProblem(err error) string {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return err.Error()
	}
	msg := fmt.Sprintf("line %d: %s", parse.Position.Line, parse.Message)
	if strings.Contains(parse.Message, "already been defined") || strings.Contains(parse.Message, "already created") {
		msg += `; if one key begins with another one, as max.connections.per.ip does, put both into quotes: "max.connections" = 100`
	}
	return msg
}
