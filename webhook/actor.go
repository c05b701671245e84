package webhook

import (
	"cmp"
	"unicode/utf8"
)

// ActorType is a kind of Actor.
type ActorType string

// The types of actors.
const (
	ActorCluster       ActorType = "cluster"       // no request: the nodes themselves
	ActorConfiguration ActorType = "configuration" // the token of the configuration
	ActorKey           ActorType = "key"           // an API key or the token of a portal
	ActorJWT           ActorType = "jwt"           // a signed token, which is not stored
)

// ActorTypes are all types of actors.
var ActorTypes = []ActorType{ActorCluster, ActorConfiguration, ActorKey, ActorJWT}

// Actor is who made a change. The zero Actor is the cluster itself. It names a credential but has
// nothing of its secret.
type Actor struct {
	Type    ActorType `json:"type,omitempty"`
	Role    Role      `json:"role,omitempty"`
	Key     ID        `json:"key,omitzero"`
	Name    string    `json:"name,omitempty"`    // of the key at that time, or the subject of a JWT
	App     ID        `json:"app,omitzero"`      // of RoleApplication
	Session string    `json:"session,omitempty"` // of the token of a portal
}

// Kind returns the type of the actor, also of the zero one.
func (a *Actor) Kind() ActorType { return cmp.Or(a.Type, ActorCluster) }

// maxActorName is the limit of an actor's name, in bytes. Names of keys may be longer.
const maxActorName = 256

// Actor returns the actor that uses this key. A key without an ID is a JWT.
func (k *APIKey) Actor() Actor {
	a := Actor{Type: ActorKey, Role: k.Role, Key: k.ID, Name: shorten(k.Name, maxActorName), App: k.App, Session: k.SessionID}
	if k.ID.IsZero() {
		a.Type = ActorJWT
	}
	return a
}

// shorten returns the first bytes of a text, without half a character at the end.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// Validate checks what a node says about the caller of a request.
func (a *Actor) Validate() error {
	switch a.Type {
	case ActorConfiguration, ActorKey, ActorJWT:
	default:
		return Invalid("actor", "has an unknown type")
	}
	if len(a.Name) > maxActorName || !utf8.ValidString(a.Name) {
		return Invalid("actor", "has an impossible name")
	}
	if a.Session != "" {
		return validWord("sessionId", a.Session)
	}
	return nil
}
