package wal

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// addGolden seeds a fuzz test with the known bytes of some formats.
func addGolden(f *testing.F, skip int, names ...string) {
	for _, name := range names {
		data, err := goldenFormats()[name].encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[skip:])
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{2})
}

// checkStable wants what was decoded to be the same after another round trip, and not to be out of
// proportion to its bytes.
func checkStable[T any](t *testing.T, v T, parts, size int, again func() (T, error)) {
	t.Helper()
	if parts > size {
		t.Errorf("%d parts from %d bytes", parts, size)
	}
	v2, err := again()
	if err != nil || asText(t, v) != asText(t, v2) {
		t.Errorf("%+v became %+v, %v", v, v2, err)
	}
}

// asText returns a text that tells values apart, also behind pointers.
func asText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzDecodeMessages(f *testing.F) {
	addGolden(f, 0, "record log")
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeMessages(goldenKey, data, goldenApp)
		if err != nil || len(list) == 0 {
			return
		}
		parts := len(list)
		for i := range list {
			parts += len(list[i].Channels) + len(list[i].Payload)
		}
		checkStable(t, list, parts, len(data), func() ([]webhook.Message, error) {
			return decodeMessages(goldenKey, encodeMessages(list), goldenApp)
		})
	})
}

func FuzzDecodeAttempts(f *testing.F) {
	addGolden(f, 0, "record history")
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeAttempts(goldenKey, data, goldenEndpoint)
		if err != nil || len(list) == 0 {
			return
		}
		checkStable(t, list, len(list), len(data), func() ([]webhook.Attempt, error) {
			return decodeAttempts(goldenKey, encodeAttempts(list), goldenEndpoint)
		})
	})
}

func FuzzDecodeProgress(f *testing.F) {
	addGolden(f, 1, "command recordProgress")
	f.Fuzz(func(t *testing.T, data []byte) {
		term, list, err := decodeProgress(data)
		if err != nil {
			return
		}
		parts := len(list)
		for i := range list {
			parts += len(list[i].Outcomes)
		}
		checkStable(t, list, parts, len(data), func() ([]webhook.Progress, error) {
			_, again, err := decodeProgress(encodeProgress(term, list)[1:])
			return again, err
		})
	})
}

func FuzzDecodeStepTask(f *testing.F) {
	addGolden(f, 1, "command stepTask")
	f.Fuzz(func(t *testing.T, data []byte) {
		term, step, err := decodeStepTask(data)
		if err != nil {
			return
		}
		checkStable(t, step, len(step.Messages), len(data), func() (webhook.TaskStep, error) {
			_, again, err := decodeStepTask(encodeStepTask(term, &step)[1:])
			return again, err
		})
	})
}

// FuzzApply gives commands to a store that has an application and an endpoint: it takes them,
// refuses them or breaks, but does not panic, and says something in each case.
func FuzzApply(f *testing.F) {
	addGolden(f, 0, "command createApplication", "command createEndpoint", "command deleteEndpoint", "command createMessage", "command createMessages", "command recordProgress", "command fingerprint",
		"command createTask", "command stepTask", "command changeTask",
		"command createKey", "command revokeKeys", "command touchKeys", "command idempotent", "command behalf", "command recordMember", "command putSettings", "command keepAnswer")
	dir := f.TempDir()
	config := Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}}
	s, err := Open(config)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, body []byte) {
		replies, err := s.Apply(s.Applied()+1, 7, testClock, []Command{{Body: body}})
		if err == nil {
			if _, err := decodeReply(replies[0]); err != nil && webhook.ErrorCode(err) == webhook.CodeInternal {
				t.Errorf("reply %q: %v", replies[0], err)
			}
			return
		}
		s.pending.Lock() // go on as a restarted node would
		defer s.pending.Unlock()
		s.pending.broken = nil
		if err := s.load(s.db); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadSnapshot(f *testing.F) {
	db, err := badger.OpenManaged(badger.DefaultOptions("").WithInMemory(true).WithLogger(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	blobs, err := blobfiles.Open(f.TempDir(), blobfiles.End{}, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = blobs.Close() })
	f.Add([]byte(snapshotMagic))
	f.Add([]byte(snapshotMagic + "\x01k\x01v\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte(snapshotMagic + "\x01k\xff\xff\xff\x1f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := readSnapshot(&database{DB: db, blobs: blobs}, bytes.NewReader(data), slog.New(slog.DiscardHandler), func() error { return nil }); err == nil {
			t.Skip("the sum was found")
		}
	})
}
