package httpapi

import (
	"encoding/json"
	"time"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

const (
	pingType      = "svix.ping" // the event type of a simple test, which needs no declaration
	exampleSchema = "1"         // the version of the schema that has the examples
)

// sendExample sends an example of an event type to one endpoint, regardless of its filters.
func sendExample(r *request) (*response, error) {
	name, index, err := parseExample(r.body(), "")
	if err != nil {
		return nil, err
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	if err := r.admitManual(1, time.Now()); err != nil {
		return nil, err
	}
	payload, err := example(r, name, index)
	if err != nil {
		return nil, err
	}
	m := &webhook.Message{App: endpoint.App, EventType: name, Only: endpoint.ID, Payload: payload}
	if err := send(r, m); err != nil {
		return nil, err
	}
	return ok(rawJSON(appendMessageOut(nil, m, true))), nil
}

// parseExample returns the event type, or name if the body has none, and which of its examples is
// wanted.
func parseExample(text []byte, name string) (_ string, index int64, err error) {
	b, err := parseBody(text)
	if err != nil {
		return "", 0, err
	}
	b.each(func(field string, v gjson.Result) {
		switch field {
		case "eventType":
			name = b.string(field, v)
		case "exampleIndex":
			index = b.between(field, v, 0, 1000)
		}
	})
	if name == "" {
		b.fail("eventType", "is missing")
	}
	return name, index, b.err()
}

// example returns an example of a payload from the schema of an event type.
func example(r *request, name string, index int64) ([]byte, error) {
	if name == pingType {
		return []byte(`{"success": true}`), nil
	}
	eventType, err := r.named().visibleEventType(name)
	if err != nil {
		return nil, err
	}
	var schema struct {
		Examples []json.RawMessage `json:"examples"`
		Example  json.RawMessage   `json:"example"`
	}
	if text := eventType.Schemas[exampleSchema]; text != nil {
		if err := json.Unmarshal(text, &schema); err != nil {
			return nil, noExample("its schema of version 1 can't be read: " + err.Error())
		}
	}
	if len(schema.Examples) == 0 && schema.Example != nil {
		schema.Examples = []json.RawMessage{schema.Example}
	}
	if index >= int64(len(schema.Examples)) {
		return nil, noExample("its schema of version 1 has no such example: add it to the list \"examples\"")
	}
	if example := schema.Examples[index]; gjson.ParseBytes(example).IsObject() {
		return example, nil
	}
	return nil, noExample("the example is not a JSON object")
}

func noExample(why string) error {
	return &webhook.Error{Code: webhook.CodeInvalidScheme, Detail: "There is no example of this event type: " + why}
}
