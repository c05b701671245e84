package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// EventType is a kind of event that endpoints can choose. Messages may have other types, too.
type EventType struct {
	Name         string                     `json:"name"` // its key
	Description  string                     `json:"description"`
	GroupName    string                     `json:"groupName,omitempty"`
	Archived     bool                       `json:"archived,omitempty"` // endpoints can no longer choose it
	Deprecated   bool                       `json:"deprecated,omitempty"`
	Schemas      map[string]json.RawMessage `json:"schemas,omitzero"`       // JSON Schema by version, "1" …; nil and empty are shown as they were given
	FeatureFlags []string                   `json:"featureFlags,omitempty"` // shown only to portals that have one of them; empty: to all
	CreatedAt    time.Time                  `json:"createdAt"`
	UpdatedAt    time.Time                  `json:"updatedAt"`
	Revision     uint64                     `json:"revision"` // Raft index of the entry that changed it last
}

// How large the schemas of an event type may be, in bytes as JSON, and how many there may be.
const (
	maxSchemas        = 256 << 10
	maxSchemaVersions = 100
)

// VisibleTo reports whether a portal with these feature flags sees the event type.
func (e *EventType) VisibleTo(featureFlags []string) bool {
	return len(e.FeatureFlags) == 0 || slices.ContainsFunc(e.FeatureFlags, func(flag string) bool { return slices.Contains(featureFlags, flag) })
}

// ValidEventTypeName reports what is wrong with a name.
func ValidEventTypeName(name string) error { return validWord("name", name) }

// Validate checks the fields that a producer sets. It does not check that the schemas are valid
// JSON Schema: the HTTP layer does.
func (e *EventType) Validate() error {
	if err := ValidEventTypeName(e.Name); err != nil {
		return err
	}
	if err := validText("description", e.Description); err != nil {
		return err
	}
	if e.GroupName != "" {
		if err := validWord("groupName", e.GroupName); err != nil {
			return err
		}
	}
	if len(e.Schemas) > maxSchemaVersions {
		return Invalid("schemas", fmt.Sprintf("may hold at most %d versions", maxSchemaVersions))
	}
	size := 0
	for version, schema := range e.Schemas {
		if err := validWord("schemas", version); err != nil {
			return err
		}
		size += len(version) + len(schema)
	}
	if size > maxSchemas {
		return Invalid("schemas", "must not be longer than 256 KiB as JSON")
	}
	return validWords("featureFlags", e.FeatureFlags, maxFlags, maxFlagsBytes)
}
