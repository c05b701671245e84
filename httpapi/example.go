package httpapi

import (
	"encoding/json"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	pingType      = "svix.ping" // the event type of a plain test, known without being declared
	exampleSchema = "1"         // the version of the schema whose example is sent
)

// sendExample sends an example of an event type to one endpoint, whatever its filters.
func (s *Server) sendExample(ctx *fasthttp.RequestCtx) (answer, error) {
	name, index, err := parseExample(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	if err := s.manual.admit(caller(ctx), 1, time.Now()); err != nil {
		return answer{}, err
	}
	payload, err := s.example(ctx, name, index)
	if err != nil {
		return answer{}, err
	}
	a, err := s.send(ctx, &webhook.Message{App: endpoint.App, EventType: name, Only: endpoint.ID, Payload: payload}, true)
	a.status = fasthttp.StatusOK
	return a, err
}

func parseExample(text []byte) (name string, index int64, err error) {
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

// example is the payload that the schema of an event type gives as an example.
func (s *Server) example(ctx *fasthttp.RequestCtx, name string, index int64) ([]byte, error) {
	if name == pingType {
		return []byte(`{"success": true}`), nil
	}
	eventType, err := s.visibleEventType(ctx, name)
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
