package reference

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var openapiYAML []byte

// parsed returns the document as an object in the order in which it was written.
var parsed = sync.OnceValues(func() (object, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(openapiYAML, &document); err != nil {
		return nil, err
	}
	value, err := ordered(document.Content[0])
	if err != nil {
		return nil, err
	}
	return value.(object), nil
})

// Document returns the OpenAPI 3.1 document of the API as JSON.
var Document = sync.OnceValues(func() ([]byte, error) {
	document, err := parsed()
	if err != nil {
		return nil, err
	}
	return json.Marshal(document)
})

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	Name  string
	Value any // an object, a []any or a scalar
}

// ordered converts a node of YAML to a value of JSON.
func ordered(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		o := make(object, 0, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			value, err := ordered(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			o = append(o, member{n.Content[i].Value, value})
		}
		return o, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			value, err := ordered(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	default:
		var value any
		if n.ShortTag() == "!!timestamp" { // JSON has no times
			return n.Value, nil
		}
		if err := n.Decode(&value); err != nil {
			return nil, fmt.Errorf("line %d: %w", n.Line, err)
		}
		return value, nil
	}
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// get returns the value of a member, or nil.
func (o object) get(name string) any {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Text returns a member that is a string, or "".
func (o object) Text(name string) string {
	text, _ := o.get(name).(string)
	return text
}

// Object returns a member that is an object, or nil.
func (o object) Object(name string) object {
	inner, _ := o.get(name).(object)
	return inner
}

func (o object) list(name string) []any {
	list, _ := o.get(name).([]any)
	return list
}
