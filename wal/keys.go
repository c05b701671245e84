package wal

import (
	"encoding/binary"
	"time"

	"hookwheel/webhook"
)

// The first byte of each key; doc.go has the whole layout.
const (
	keyMeta        = '!'
	keyApplication = 'A'
	keyEndpoint    = 'E'
	keyUnique      = 'U'
	keyLog         = 'L'
	keyCursor      = 'C'
	keyRetry       = 'R'
	keyHistory     = 'H'
	keyIndex       = 'I'
	keyRequests    = 'Q'
	keyOvertaker   = 'P'
	keyRemoved     = 'D'
	keyHeld        = 'K'
	keyManual      = 'M'
	keyCounts      = 'N'
	keyExpiry      = 'X'
	keyAPIKey      = 'G'
	keyReply       = 'Y'
	keyAging       = 'y'
	keyEventType   = 'T'
	keyRemovedApp  = 'O'
	keyTask        = 'B'
	keyChange      = 'V'
	keyDropped     = 'J'
	keyPlanned     = 'W'
	keyShare       = 'S'
	keyRecent      = 'F'
	keySettings    = 's'
	keyFront       = 'l'
)

const (
	idSize    = len(webhook.ID{})
	entrySize = 13 // of an ID: time and Raft index
)

var metaKey = []byte{keyMeta}

func idKey(prefix byte, ids ...webhook.ID) []byte {
	key := make([]byte, 0, 1+len(ids)*idSize)
	key = append(key, prefix)
	for i := range ids {
		key = append(key, ids[i][:]...)
	}
	return key
}

func nameKey(prefix byte, name string) []byte { return append([]byte{prefix}, name...) }

func uniqueKey(app webhook.ID, eventID string) []byte {
	return append(idKey(keyUnique, app), eventID...)
}

// chunkKey returns the key of owner's chunk that contains id, in the log or in the history.
func chunkKey(prefix byte, owner, id webhook.ID) []byte {
	return append(idKey(prefix, owner), id[:entrySize]...)
}

func retryKey(endpoint webhook.ID, due time.Time, message webhook.ID) []byte {
	key := make([]byte, 0, 1+2*idSize+8)
	key = append(key, keyRetry)
	key = append(key, endpoint[:]...)
	key = binary.BigEndian.AppendUint64(key, uint64(due.UnixMilli()))
	return append(key, message[:]...)
}

func parseRetryKey(key []byte) (due time.Time, message webhook.ID) {
	due = time.UnixMilli(int64(binary.BigEndian.Uint64(key[1+idSize:]))).UTC()
	copy(message[:], key[1+idSize+8:])
	return due, message
}

// plannedKey returns the key of the index entry for a message in the retry set of an endpoint.
func plannedKey(message, endpoint webhook.ID) []byte { return idKey(keyPlanned, message, endpoint) }

func encodePlanned(due time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(due.UnixMilli()))
}

// plannedLine returns the key of the line in the retry set that an index entry refers to.
func plannedLine(key, value []byte) ([]byte, error) {
	if len(key) != 1+2*idSize || len(value) != 8 {
		return nil, errCut
	}
	message, endpoint := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	return retryKey(endpoint, time.UnixMilli(int64(binary.BigEndian.Uint64(value))), message), nil
}

func heldKey(endpoint webhook.ID, key uint64, message webhook.ID) []byte {
	k := binary.BigEndian.AppendUint64(idKey(keyHeld, endpoint), key)
	return append(k, message[:]...)
}

func parseHeldKey(key []byte) webhook.Held {
	return webhook.Held{Key: binary.BigEndian.Uint64(key[1+idSize:]), Message: webhook.ID(key[1+idSize+8:])}
}

func requestsKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyRequests}, index)
}

func overtakerKey(index uint64, request [16]byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{keyOvertaker}, index), request[:]...)
}

func parseOvertakerKey(key []byte) (index uint64, request [16]byte, err error) {
	if len(key) != 1+8+len(request) {
		return 0, request, errCut
	}
	return binary.BigEndian.Uint64(key[1:]), [16]byte(key[1+8:]), nil
}

// replyKey returns the key of an idempotency key.
func replyKey(name []byte) []byte { return append([]byte{keyReply}, name...) }

// agingKey returns the key of the list of idempotency keys that an entry was the first to use.
func agingKey(entry webhook.ID) []byte { return append([]byte{keyAging}, entry[:entrySize]...) }
