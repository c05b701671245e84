package wal

import (
	"crypto/sha256"

	"hookwheel/webhook"
)

func keyName(id webhook.ID) string { return "API key " + id.Text(webhook.KindAPIKey) }

// checkAPIKey checks one API key.
func (c *checker) checkAPIKey(key, value []byte) {
	id := webhook.ID(key[1:])
	what := keyName(id)
	c.checkID(id, what)
	k := new(webhook.APIKey)
	if err := decodeJSON(value, k); err != nil {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	if k.ID != id {
		c.violated("%s is stored under the id %s", keyName(k.ID), id.Text(webhook.KindAPIKey))
	}
	if len(k.Hash) != sha256.Size {
		c.violated("%s has a token hash of %d bytes, which is not valid", what, len(k.Hash))
	}
	if err := k.Validate(); err != nil {
		c.violated("%s is invalid: %v", what, err)
	}
	if !k.App.IsZero() && c.apps[k.App] == nil {
		c.violated("%s belongs to %s, which does not exist", what, appName(k.App))
	}
}
