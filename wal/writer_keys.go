package wal

import (
	"context"
	"slices"
	"time"

	"hookwheel/webhook"
)

// CreateKey assigns key its ID and its time.
func (w *Writer) CreateKey(ctx context.Context, key webhook.APIKey) (*webhook.APIKey, error) {
	return proposeObject[webhook.APIKey](ctx, &w.client, kindCreateKey, key)
}

// RevokeKey ends one key.
func (w *Writer) RevokeKey(ctx context.Context, key webhook.ID) error {
	return w.client.proposeEnd(ctx, kindRevokeKeys, revokeKeys{Key: key})
}

// ExpireAll ends the existing tokens of an application, at once or after some seconds: those of
// these sessions or, if there are none, all, JWTs included.
func (w *Writer) ExpireAll(ctx context.Context, app webhook.ID, seconds int64, sessions []string) error {
	return w.client.proposeEnd(ctx, kindRevokeKeys, revokeKeys{App: app, Last: seconds, Sessions: sessions})
}

// TouchKeys records when keys were used.
func (w *Writer) TouchKeys(ctx context.Context, used map[webhook.ID]time.Time) error {
	list := make(touchKeys, 0, len(used))
	for id, at := range used {
		list = append(list, touchKey{id, at})
	}
	for part := range slices.Chunk(list, maxTouches) {
		if err := w.client.proposeEnd(ctx, kindTouchKeys, part); err != nil {
			return err
		}
	}
	return nil
}
