package wal

import (
	"context"

	"hookwheel/webhook"
)

// putSettings is the body of kindPutSettings.
type putSettings webhook.Settings

func (c *putSettings) validate() error {
	if err := (*webhook.Settings)(c).Validate(); err != nil {
		return err
	}
	return storable(c, "the settings", maxObject)
}

// apply replaces the settings. The reply is the settings.
func (c *putSettings) apply(e *entry) ([]byte, error) {
	var before webhook.Settings
	record, found, err := e.store.pending.get([]byte{keySettings})
	if err == nil && found {
		err = decodeJSON(record, &before)
	}
	settings := (*webhook.Settings)(c)
	switch {
	case err != nil:
		return nil, err
	case before.Revision != settings.Revision:
		return nil, errChanged
	}
	settings.UpdatedAt, settings.Revision = e.now(), e.batch.meta.index
	if record, err = encodeJSON(settings); err != nil {
		return nil, err
	}
	e.source = replySource{key: []byte{keySettings}}
	e.batch.set(e.source.key, record)
	e.changed(webhook.StateChange{Change: webhook.SettingsUpdated})
	return record, nil
}

// PutSettings replaces the settings of the pages that customers see, as the other updates do.
func (w *Writer) PutSettings(ctx context.Context, settings webhook.Settings) (*webhook.Settings, error) {
	return proposeObject[webhook.Settings](ctx, &w.client, kindPutSettings, settings)
}

// Settings returns the settings of the pages that customers see.
func (r *Reader) Settings() (settings webhook.Settings, err error) {
	err = r.read(func(v dbView) error {
		record, found, err := v.get([]byte{keySettings})
		if err != nil || !found {
			return err
		}
		return decodeJSON(record, &settings)
	})
	return settings, err
}
