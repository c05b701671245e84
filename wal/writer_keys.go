package wal

import (
	"context"
	"slices"
	"time"

	"hookwheel/webhook"
)

// CreateKey assigns key its ID and its time.
func (w *Writer) CreateKey(ctx context.Context, key webhook.APIKey) (*webhook.APIKey, error) {
	command, err := encodeCommand(kindCreateKey, key)
	if err != nil {
		return nil, err
	}
	body, err := w.propose(ctx, command)
	if err != nil {
		return nil, err
	}
	made := new(webhook.APIKey)
	return made, decodeJSON(body, made)
}

// RevokeKey ends one key.
func (w *Writer) RevokeKey(ctx context.Context, key webhook.ID) error {
	return w.revoke(ctx, revokeKeys{Key: key})
}

// ExpireAll ends the existing tokens of an application, at once or after some seconds: those of
// these sessions or, if there are none, all, JWTs included.
func (w *Writer) ExpireAll(ctx context.Context, app webhook.ID, seconds int64, sessions []string) error {
	return w.revoke(ctx, revokeKeys{App: app, Last: seconds, Sessions: sessions})
}

func (w *Writer) revoke(ctx context.Context, c revokeKeys) error {
	command, err := encodeCommand(kindRevokeKeys, c)
	if err != nil {
		return err
	}
	_, err = w.propose(ctx, command)
	return err
}

// TouchKeys records when keys were used.
func (w *Writer) TouchKeys(ctx context.Context, used map[webhook.ID]time.Time) error {
	list := make(touchKeys, 0, len(used))
	for id, at := range used {
		list = append(list, touchKey{id, at})
	}
	for part := range slices.Chunk(list, maxTouches) {
		if err := w.proposeEnd(ctx, kindTouchKeys, part); err != nil {
			return err
		}
	}
	return nil
}
