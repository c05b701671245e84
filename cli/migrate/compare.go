package migrate

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"hookwheel/webhook"
)

// fields are fields of an object in the API's JSON.
type fields map[string]any

func eventTypeFields(t *webhook.EventType) fields {
	return fields{"description": t.Description, "groupName": orNull(t.GroupName), "archived": t.Archived, "deprecated": t.Deprecated,
		"schemas": t.Schemas, "featureFlags": t.FeatureFlags}
}

func applicationFields(a *webhook.Application) fields {
	f := fields{"name": a.Name, "throttleRate": orNull(a.RateLimit), "metadata": orEmpty(a.Metadata)}
	if a.Endpoints > 0 {
		f["maxEndpoints"] = a.Endpoints
	}
	return f
}

// endpointFields returns the fields of an endpoint; those that only Hookwheel has are left out if
// the source does not set them, so that an update does not reset them.
func endpointFields(e *webhook.Endpoint) fields {
	f := fields{"url": webhook.NormalURL(e.URL), "description": e.Description, "throttleRate": orNull(e.RateLimit), "disabled": e.Disabled,
		"eventTypes": sorted(e.EventTypes), "channels": sorted(e.Channels), "metadata": orEmpty(e.Metadata)}
	if e.Style != webhook.StyleStandard {
		f["signatureStyle"] = e.Style
	}
	if e.Envelope {
		f["envelope"] = true
	}
	if e.Ordering != webhook.OrderingNone {
		f["ordering"] = e.Ordering
	}
	if e.OnExhausted != webhook.OnExhaustedSkip {
		f["onExhausted"] = e.OnExhausted
	}
	if e.InsecureTLS {
		f["tlsVerify"] = false
	}
	return f
}

func orNull[T comparable](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

func orEmpty(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}

// sorted returns the elements of a set, or nil, which the API takes for all, if there are none.
func sorted(set []string) []string {
	list := slices.Clone(set)
	slices.Sort(list)
	return slices.Compact(list)
}

// differing returns those fields whose value in an object of the node is another one.
func (f fields) differing(object []byte) (fields, error) {
	var has map[string]any
	if err := json.Unmarshal(object, &has); err != nil {
		return nil, err
	}
	changed := make(fields)
	for name, value := range f {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			return nil, err
		}
		if !reflect.DeepEqual(plain(want), plain(has[name])) {
			changed[name] = value
		}
	}
	return changed, nil
}

// plain returns a form in which equal values are deeply equal: all that is empty is nil, and sets
// of strings are sorted.
func plain(value any) any {
	switch v := value.(type) {
	case string:
		return orNull(v)
	case bool:
		return orNull(v)
	case float64:
		return orNull(v)
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		var list []string
		for _, item := range v {
			if text, is := item.(string); is {
				list = append(list, text)
			}
		}
		if len(list) == len(v) {
			return sorted(list)
		}
	}
	return value
}

func (f fields) names() []string { return slices.Sorted(maps.Keys(f)) }
