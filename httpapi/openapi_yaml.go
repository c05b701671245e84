package httpapi

import (
	"encoding/json"
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	maxImportedYAML   = 2 << 20 // bytes: its parser takes more than a hundred times as many
	maxImportedValues = 500_000 // with those that aliases and references repeat
)

// yamlReader makes values as JSON has them of nodes of YAML. The library's own way of making values
// compares each key of a mapping with all others.
type yamlReader struct{ values int }

func parseYAML(text string) (any, error) {
	if len(text) > maxImportedYAML {
		return nil, fmt.Errorf("is more than %d MiB of YAML; convert it to JSON", maxImportedYAML>>20)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("is neither JSON nor YAML: %w", err)
	}
	return new(yamlReader).value(&document, 0)
}

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if r.values++; r.values > maxImportedValues {
		return nil, fmt.Errorf("holds more than %d values, with those that an alias repeats", maxImportedValues)
	}
	if depth > maxImportedDepth { // as an alias within what it repeats
		return nil, errTooDeep
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return r.value(n.Content[0], depth)
	case yaml.AliasNode:
		return r.value(n.Alias, depth)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			var err error
			if list[i], err = r.value(item, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		return r.object(n, depth)
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, nil // there is nothing
}

func (r *yamlReader) object(n *yaml.Node, depth int) (map[string]any, error) {
	object := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, item)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("has a name that is not text, on line %d", key.Line)
		}
		if _, twice := object[key.Value]; twice {
			return nil, fmt.Errorf("has %.200q twice, the second time on line %d", key.Value, key.Line)
		}
		var err error
		if object[key.Value], err = r.value(item, depth+1); err != nil {
			return nil, err
		}
	}
	for _, item := range merged {
		if err := r.merge(object, item, depth+1); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// merge adds the members of an object, or of each in a list, that another lacks.
func (r *yamlReader) merge(into map[string]any, n *yaml.Node, depth int) error {
	value, err := r.value(n, depth)
	if err != nil {
		return err
	}
	list, is := value.([]any)
	if !is {
		list = []any{value}
	}
	for _, item := range list {
		object, is := item.(map[string]any)
		if !is {
			return fmt.Errorf("merges what is not an object, on line %d", n.Line)
		}
		for name, member := range object {
			if _, own := into[name]; !own {
				into[name] = member
			}
		}
	}
	return nil
}

// scalar keeps the digits of numbers that JSON can write.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!str":
		return n.Value, nil
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, fmt.Errorf("has a value that cannot be read, on line %d: %w", n.Line, err)
	}
	if at, is := value.(time.Time); is {
		if at.Equal(at.Truncate(24 * time.Hour)) {
			return at.Format(time.DateOnly), nil
		}
		return at.Format(time.RFC3339Nano), nil
	}
	return value, nil
}
