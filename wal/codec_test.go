package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// The formats are in Raft logs and on disks, so a file has their bytes. It may only grow:
// everything in it must stay readable as long as version 1 exists. For a new format run
//
//	go test ./wal -run Golden -update
var update = flag.Bool("update", false, "add the formats that testdata/formats-v1.txt does not have yet")

const formatsFile = "testdata/formats-v1.txt"

var (
	goldenApp      = webhook.NewID(testClock, 1, 0)
	goldenEndpoint = webhook.NewID(testClock, 2, 0)
	goldenMessage  = webhook.NewID(testClock+1000, 3, 1)
	goldenEntry    = webhook.NewID(testClock, 4, 0)
	goldenTime     = time.UnixMilli(testClock + 4).UTC()
	goldenKey      = chunkKey(keyLog, goldenApp, goldenMessage)
)

func goldenAttempts() []webhook.Attempt {
	first := webhook.Attempt{Message: goldenMessage, URL: "https://example.com/", Number: 1, Status: webhook.StatusFail, StatusCode: 503,
		Start: goldenTime, Duration: 250 * time.Millisecond, Response: []byte("busy"), Next: goldenTime.Add(5 * time.Second)}
	second := first
	second.Number, second.Status, second.StatusCode, second.Trigger = 2, webhook.StatusSuccess, 204, webhook.TriggerManual
	second.Next, second.Response = time.Time{}, []byte{}
	return []webhook.Attempt{first, second}
}

func goldenMessages() []webhook.Message {
	return []webhook.Message{
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 1), EventType: "user.created", EventID: "order-1",
			Channels: []string{"a", "b"}, Payload: []byte(`{"n": 1}`)},
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 300), EventType: "x", Payload: []byte("{}")},
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 301), EventType: "x", Payload: []byte("<a/>"), Tags: []string{"t"}, OrderingKey: "k",
			DeliverAt: goldenTime, Retention: 5 * time.Hour, Only: goldenEndpoint, ContentType: "text/xml", Raw: true},
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 302), EventType: "x", Payload: []byte{}, Expunged: true},
	}
}

func goldenApplication() webhook.Application {
	return webhook.Application{ID: goldenApp, UID: "acme", Name: "Acme", RateLimit: 7, Metadata: map[string]string{"b": "2", "a": "1"},
		CreatedAt: goldenTime, UpdatedAt: goldenTime}
}

func goldenEndpointRecord() webhook.Endpoint {
	return webhook.Endpoint{ID: goldenEndpoint, App: goldenApp, UID: "main", URL: "https://example.com/", Description: "d",
		EventTypes: []string{"a"}, Channels: []string{"c"}, Keys: testKeys, RateLimit: 9, Version: 1,
		Disabled: true, Metadata: map[string]string{"k": "v"}, CreatedAt: goldenTime, UpdatedAt: goldenTime}
}

// goldenStyledEndpoint has what goldenEndpointRecord has not.
func goldenStyledEndpoint() webhook.Endpoint {
	e := goldenEndpointRecord()
	e.Headers, e.Paused, e.Style, e.Envelope = testKeys[0].Sealed, true, webhook.StyleStripe, true
	e.Ordering, e.OnExhausted, e.InsecureTLS = webhook.OrderingKey, webhook.OnExhaustedBlock, true
	e.Revision, e.FilterSince = 300, goldenMessage
	return e
}

func goldenEventType() webhook.EventType {
	return webhook.EventType{Name: "user.created", Description: "d", GroupName: "user", Archived: true, Deprecated: true,
		Schemas: map[string]json.RawMessage{"2": json.RawMessage(`{"type":"object"}`), "1": json.RawMessage("{}")}, FeatureFlags: []string{"beta"},
		CreatedAt: goldenTime, UpdatedAt: goldenTime, Revision: 300}
}

func goldenAPIKey() webhook.APIKey {
	return webhook.APIKey{ID: webhook.NewID(testClock, 5, 0), Name: "portal", Role: webhook.RoleApplication, Hash: webhook.HashToken("x"), App: goldenApp,
		FeatureFlags: []string{"beta"}, ReadOnly: true, CreatedAt: goldenTime, ExpiresAt: goldenTime, LastUsed: goldenTime}
}

func goldenTask() webhook.Task {
	return webhook.Task{ID: goldenMessage, Kind: webhook.TaskReplay, App: goldenApp, Endpoint: goldenEndpoint, Since: goldenTime, Until: goldenTime.Add(time.Hour),
		Which: webhook.ReplayFailed, EventTypes: []string{"a"}, Channel: "c", Tag: "t", CodeClass: new(uint16(500)), Rate: 9, Status: webhook.TaskRunning,
		Position: goldenMessage, Total: 7, Looked: 5, Taken: 4, Delivered: 2, Failed: 1, CreatedAt: goldenTime, UpdatedAt: goldenTime}
}

type stepOfTerm struct {
	term uint64
	step webhook.TaskStep
}

// format is one thing that is stored or sent: its value, and the way there and back.
type format struct {
	value  any
	encode func() ([]byte, error)
	decode func([]byte) (any, error)
}

func commandFormat[T any](k kind, value T) format {
	return format{value, func() ([]byte, error) { return encodeCommand(k, value) }, func(data []byte) (any, error) {
		var v T
		if kind(data[0]) != k {
			return nil, fmt.Errorf("kind %d", data[0])
		}
		err := decodeJSON(data[1:], &v)
		return v, err
	}}
}

func jsonFormat[T any](value T) format {
	return format{value, func() ([]byte, error) { return encodeJSON(value) }, func(data []byte) (any, error) {
		var v T
		err := decodeJSON(data, &v)
		return v, err
	}}
}

func plain(data []byte) func() ([]byte, error) { return func() ([]byte, error) { return data, nil } }

type idempotent struct {
	key, fingerprint [16]byte
	command          []byte
}

var goldenReply = keptReply{goldenEntry, [16]byte{3, 4}, kindResend, []byte("reply")}

type progressOfTerm struct {
	term uint64
	list []webhook.Progress
}

func goldenFormats() map[string]format {
	attempts := goldenAttempts()
	sent := webhook.Message{App: goldenApp, EventType: "user.created", EventID: "e", Channels: []string{"c"}, Payload: []byte("{}")}
	progress := progressOfTerm{7, []webhook.Progress{{Endpoint: goldenEndpoint, Cursor: goldenMessage,
		Outcomes: []webhook.Outcome{{Attempt: attempts[0]}, {Source: webhook.SourceRetry, Due: goldenTime, Attempt: attempts[1], Spent: 2, Key: 77}, {Attempt: webhook.Attempt{Message: goldenMessage}, Hold: true, Key: 77}, {Source: webhook.SourceManual, Attempt: attempts[0]}}}}}
	recorded := goldenAttempts()
	for i := range recorded {
		recorded[i].Endpoint, recorded[i].ID = goldenEndpoint, webhook.NewID(goldenMessage.Millis(), 3, uint32(i+1))
	}
	m := meta{index: 300, term: 7, clock: testClock, bytes: 1000, left: testClock - 5, confIndex: 5, conf: []byte("configuration"), pieced: []byte{keyLog}}
	c := cursor{position: goldenEndpoint, done: []webhook.ID{goldenMessage}, counts: counts{waiting: 1, held: 2, manual: 3, expired: 4, hour: 5, succeeded: 6, failed: 7, canceled: 8},
		health: webhook.Health{Parked: true, Since: goldenTime, FailingSince: goldenTime, Probes: 3, NextProbe: goldenTime, LastFailure: "no answer"},
		skips:  []skip{{from: goldenEndpoint, to: goldenMessage, at: testClock}}}
	resting := cursor{position: goldenEndpoint, health: webhook.Health{FailingSince: goldenTime, LastFailure: "status 503", Rests: goldenTime}}
	decodeCursor := func(data []byte) (v any, err error) { var c cursor; err = c.decode(data); return c, err }
	refused := &webhook.Error{Code: webhook.CodeInvalid, Detail: "why", Field: "uid"}
	step := stepOfTerm{7, webhook.TaskStep{Task: goldenApp, From: goldenEndpoint, To: goldenMessage, Looked: 300, Messages: []webhook.ID{goldenEndpoint, goldenMessage}}}
	return map[string]format{
		"command createApplication": commandFormat(kindCreateApplication, createApplication{Application: goldenApplication(), GetIfExists: true}),
		"command createEndpoint":    commandFormat(kindCreateEndpoint, goldenEndpointRecord()),
		"command retain":            commandFormat(kindRetain, retain{Before: testClock, Records: 300, Parts: []part{{goldenApp, goldenMessage}}}),
		"command shrink":            commandFormat(kindRetain, retain{Size: 1000, Share: 100, Records: 300, Parts: []part{{goldenApp, goldenMessage}}}),
		"key expiry": {webhook.Message{App: goldenApp, ID: goldenMessage}, plain(expiryKey(testClock, goldenApp, goldenMessage)), func(data []byte) (any, error) {
			_, app, message := parseExpiryKey(data)
			return webhook.Message{App: app, ID: message}, nil
		}},
		"command expungeMessage": commandFormat(kindExpungeMessage, expunge{App: goldenApp, Message: goldenMessage}),
		"command expungeAttempt": commandFormat(kindExpungeAttempt, expunge{App: goldenApp, Message: goldenMessage, Attempt: goldenEntry}),
		"key counts":             {uint64(5), plain(countsKey(goldenEndpoint, 5)), func(data []byte) (any, error) { return binary.BigEndian.Uint64(data[1+idSize:]), nil }},
		"record counts": {counts{succeeded: 6, failed: 300, canceled: 8}, plain((&counts{succeeded: 6, failed: 300, canceled: 8}).encodeHour()), func(data []byte) (any, error) {
			var n counts
			err := n.decodeHour(data)
			return n, err
		}},
		"command resend":     commandFormat(kindResend, resend{goldenApp, goldenEndpoint, goldenMessage}),
		"command createTask": commandFormat(kindCreateTask, goldenTask()),
		"command changeTask": commandFormat(kindChangeTask, changeTask{goldenApp, webhook.TaskPaused}),
		"command stepTask": {step, plain(encodeStepTask(step.term, &step.step)), func(data []byte) (any, error) {
			term, step, err := decodeStepTask(data[1:])
			return stepOfTerm{term, step}, err
		}},
		"record share":   {int64(300), plain(encodeShare(300)), func(data []byte) (any, error) { return decodeShare(data) }},
		"record task":    jsonFormat(goldenTask()),
		"record changes": jsonFormat([]webhook.StateChange{{ID: goldenMessage, Change: webhook.EndpointParked, App: goldenApp, Endpoint: goldenEndpoint, Task: goldenMessage}}),
		"key held":       {webhook.Held{Key: 77, Message: goldenMessage}, plain(heldKey(goldenEndpoint, 77, goldenMessage)), func(data []byte) (any, error) { return parseHeldKey(data), nil }},
		"record manual": {webhook.Manual{Message: goldenMessage, Number: 2, Made: 300, Task: goldenApp, Retry: true}, plain(encodeManual(&webhook.Manual{Number: 2, Made: 300, Task: goldenApp, Retry: true})),
			func(data []byte) (any, error) {
				return decodeManual(idKey(keyManual, goldenEndpoint, goldenMessage), data)
			}},
		"record retry": {webhook.Retry{Message: goldenMessage, Due: goldenTime, Made: 300, Spent: 2, Key: 77}, plain(encodeRetry(&webhook.Retry{Made: 300, Spent: 2, Key: 77})),
			func(data []byte) (any, error) {
				return decodeRetry(retryKey(goldenEndpoint, goldenTime, goldenMessage), data)
			}},
		"command updateApplication": commandFormat(kindUpdateApplication, goldenApplication()),
		"command deleteApplication": commandFormat(kindDeleteApplication, deleteApplication{goldenApp}),
		"command updateEndpoint":    commandFormat(kindUpdateEndpoint, goldenStyledEndpoint()),
		"command createEventType":   commandFormat(kindCreateEventType, goldenEventType()),
		"command updateEventType":   commandFormat(kindUpdateEventType, goldenEventType()),
		"command deleteEventType":   commandFormat(kindDeleteEventType, deleteEventType{"user.created", true}),
		"command moveCursor":        commandFormat(kindMoveCursor, moveCursor{goldenApp, goldenEndpoint, goldenMessage}),
		"command disableEndpoint":   commandFormat(kindDisableEndpoint, disableEndpoint{7, goldenEndpoint, goldenTime}),
		"record event type":         jsonFormat(goldenEventType()),
		"command deleteEndpoint":    commandFormat(kindDeleteEndpoint, deleteEndpoint{goldenApp, goldenEndpoint}),
		"command createMessage": {sent, plain(encodeCreateMessage(&sent)), func(data []byte) (any, error) {
			m, err := decodeCreateMessage(data[1:])
			return *m, err
		}},
		"command recordProgress": {progress, plain(encodeProgress(progress.term, progress.list)), func(data []byte) (any, error) {
			term, list, err := decodeProgress(data[1:])
			return progressOfTerm{term, list}, err
		}},
		"command fingerprint": {"", plain(encodeFingerprint()), func(data []byte) (any, error) {
			return "", newReader(data[1:], commandVersion).end()
		}},
		"record application": jsonFormat(goldenApplication()),
		"record endpoint":    jsonFormat(goldenEndpointRecord()),
		"record log": {goldenMessages(), plain(encodeMessages(goldenMessages())), func(data []byte) (any, error) {
			return decodeMessages(goldenKey, data, goldenApp)
		}},
		"record history": {recorded, plain(encodeAttempts(recorded)), func(data []byte) (any, error) {
			return decodeAttempts(goldenKey, data, goldenEndpoint)
		}},
		"record meta":              {m, plain(m.encode()), func(data []byte) (v any, err error) { var m meta; err = m.decode(data); return m, err }},
		"record cursor":            {c, plain(c.encode()), decodeCursor},
		"record cursor that rests": {resting, plain(resting.encode()), decodeCursor},
		"record requests": {"two", plain(appendRequest(appendRequest(nil, [16]byte{1}, []byte("one")), [16]byte{2}, []byte("two"))),
			func(data []byte) (any, error) {
				reply, _, err := findRequest(data, [16]byte{2})
				return string(reply), err
			}},
		"command createKey":  commandFormat(kindCreateKey, goldenAPIKey()),
		"command revokeKeys": commandFormat(kindRevokeKeys, revokeKeys{Key: goldenAPIKey().ID, App: goldenApp, Last: 60}),
		"command touchKeys":  commandFormat(kindTouchKeys, []touchKey{{goldenAPIKey().ID, goldenTime}}),
		"record API key":     jsonFormat(goldenAPIKey()),
		"command idempotent": {idempotent{[16]byte{1, 2}, [16]byte{3, 4}, encodeFingerprint()}, plain(encodeIdempotent([16]byte{1, 2}, [16]byte{3, 4}, encodeFingerprint())), func(data []byte) (any, error) {
			key, fingerprint, command, err := decodeIdempotent(data[1:])
			return idempotent{key, fingerprint, command}, err
		}},
		"record answer": {goldenReply, plain(encodeKeptReply(&goldenReply)), func(data []byte) (any, error) {
			return decodeKeptReply(data)
		}},
		"reply ok":    {"body", plain(okReply([]byte("body"))), func(data []byte) (any, error) { body, err := decodeReply(data); return string(body), err }},
		"reply error": {refused, func() ([]byte, error) { return errorReply(refused) }, func(data []byte) (any, error) { _, err := decodeReply(data); return err, nil }},
		"key overtaker": {overtaker{300, [16]byte{1, 2}}, plain(overtakerKey(300, [16]byte{1, 2})), func(data []byte) (any, error) {
			index, request, err := parseOvertakerKey(data)
			return overtaker{index, request}, err
		}},
		"record planned": {line{goldenTime.UnixMilli(), goldenMessage}, plain(encodePlanned(goldenTime)), func(data []byte) (any, error) {
			key, err := plannedLine(plannedKey(goldenMessage, goldenEndpoint), data)
			if err != nil {
				return nil, err
			}
			due, id := parseRetryKey(key)
			return line{due.UnixMilli(), id}, nil
		}},
		"key retry": {line{goldenTime.UnixMilli(), goldenMessage}, plain(retryKey(goldenEndpoint, goldenTime, goldenMessage)),
			func(data []byte) (any, error) { due, id := parseRetryKey(data); return line{due.UnixMilli(), id}, nil }},
	}
}

func readFormats(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(formatsFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	known := make(map[string]string)
	for text := range strings.Lines(string(text)) {
		name, bytes, _ := strings.Cut(strings.TrimSpace(text), " = ")
		known[name] = bytes
	}
	return known
}

func TestGoldenFormats(t *testing.T) {
	known, formats := readFormats(t), goldenFormats()
	for name := range known {
		if _, found := formats[name]; !found {
			t.Errorf("%s stands in %s, but nothing reads it", name, formatsFile)
		}
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			made, err := f.encode()
			if err != nil {
				t.Fatal(err)
			}
			if known[name] == "" && *update {
				addFormat(t, name, made)
				known[name] = hex.EncodeToString(made)
			}
			stored, err := hex.DecodeString(known[name])
			if err != nil || len(stored) == 0 {
				t.Fatalf("not in %s: %v", formatsFile, err)
			}
			if !bytes.Equal(made, stored) {
				t.Errorf("is written as %x, was %x", made, stored)
			}
			got, err := f.decode(stored)
			if err != nil || !reflect.DeepEqual(got, f.value) {
				t.Errorf("is read as %+v, was %+v; %v", got, f.value, err)
			}
		})
	}
}

func addFormat(t *testing.T, name string, data []byte) {
	t.Helper()
	file, err := os.OpenFile(formatsFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "%s = %x\n", name, data); err != nil {
		t.Fatal(err)
	}
}

// No format may be cut anywhere without being found out, but where a shorter list is as good a
// list.
func TestCutRecordsAreRefused(t *testing.T) {
	for name, f := range goldenFormats() {
		if strings.HasPrefix(name, "reply ok") || strings.HasPrefix(name, "key") {
			continue // has no structure, or is never cut
		}
		t.Run(name, func(t *testing.T) {
			data, err := f.encode()
			if err != nil {
				t.Fatal(err)
			}
			for size := 1; size < len(data); size++ {
				if got, err := f.decode(data[:size]); err == nil && reflect.DeepEqual(got, f.value) {
					t.Errorf("%d of %d bytes read as the whole", size, len(data))
				}
			}
		})
	}
}

// What goes on behind its end is damaged as well.
func TestTrailingBytesAreRefused(t *testing.T) {
	message := encodeCreateMessage(&webhook.Message{App: goldenApp, EventType: "a"})
	bodies := map[string][]byte{
		"message":     message,
		"application": mustEncode(t, kindCreateApplication, createApplication{Application: goldenApplication()}),
		"endpoint":    mustEncode(t, kindCreateEndpoint, goldenEndpointRecord()),
		"event type":  mustEncode(t, kindCreateEventType, goldenEventType()),
		"move":        mustEncode(t, kindMoveCursor, moveCursor{App: goldenApp, Endpoint: goldenEndpoint}),
		"deletion":    mustEncode(t, kindDeleteEndpoint, deleteEndpoint{goldenApp, goldenEndpoint}),
		"progress":    encodeProgress(1, []webhook.Progress{{Endpoint: goldenEndpoint}}),
		"fingerprint": encodeFingerprint(),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, t.TempDir())
			defer s.Close() // says what Apply has said
			if _, err := s.Apply(1, 1, testClock, []Command{{Body: append(body, 7)}}); err == nil {
				t.Error("a command that goes on behind its end was applied")
			}
		})
	}
	if err := new(meta).decode(append((&meta{index: 1, term: 1}).encode(), 0)); !errors.Is(err, errCut) {
		t.Errorf("meta: %v", err)
	}
}

func randomBytes(rnd *rand.Rand, limit int) []byte {
	data := make([]byte, rnd.Intn(limit))
	rnd.Read(data)
	return data
}

func randomTime(rnd *rand.Rand) time.Time {
	if rnd.Intn(3) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(1 + rnd.Int63n(1<<42)).UTC()
}

func randomMessage(rnd *rand.Rand) webhook.Message {
	m := webhook.Message{App: goldenApp, EventType: string(randomBytes(rnd, 20)), EventID: string(randomBytes(rnd, 20)), Payload: randomBytes(rnd, 300)}
	for range rnd.Intn(4) {
		m.Channels = append(m.Channels, string(randomBytes(rnd, 9)))
	}
	if rnd.Intn(2) == 0 {
		m.Tags, m.OrderingKey, m.DeliverAt = []string{"t"}, string(randomBytes(rnd, 9)), randomTime(rnd)
		m.Retention, m.ContentType, m.Raw, m.Expunged = time.Duration(rnd.Intn(90))*time.Hour, string(randomBytes(rnd, 9)), rnd.Intn(2) == 0, rnd.Intn(2) == 0
		rnd.Read(m.Only[:])
	}
	return m
}

func randomAttempt(rnd *rand.Rand) webhook.Attempt {
	a := webhook.Attempt{Number: 1 + rnd.Uint32()>>1, Trigger: webhook.Trigger(rnd.Intn(2)), Status: webhook.Status(rnd.Intn(4)),
		StatusCode: uint16(rnd.Intn(1000)), Start: randomTime(rnd), Duration: time.Duration(rnd.Intn(1e6)) * time.Millisecond,
		Next: randomTime(rnd), URL: fmt.Sprint("u", rnd.Intn(3)), Response: randomBytes(rnd, 100)}
	rnd.Read(a.Message[:])
	if rnd.Intn(3) == 0 {
		rnd.Read(a.Task[:])
	}
	return a
}

func randomOutcome(rnd *rand.Rand, a webhook.Attempt) webhook.Outcome {
	o := webhook.Outcome{Source: webhook.Source(rnd.Intn(4)), Attempt: a, Spent: rnd.Uint32(), Key: uint64(rnd.Intn(3))}
	if o.Source == webhook.SourceRetry {
		o.Due = randomTime(rnd)
	}
	if rnd.Intn(4) == 0 {
		o.Attempt = webhook.Attempt{Message: a.Message, Next: a.Next}
		o.Hold = rnd.Intn(2) == 0
	}
	return o
}

func TestRoundTrips(t *testing.T) {
	rnd := seeded(t)
	for range 300 {
		var messages []webhook.Message
		var attempts []webhook.Attempt
		p := webhook.Progress{Endpoint: goldenEndpoint, Cursor: goldenMessage}
		for i := range 1 + rnd.Intn(5) {
			m, a := randomMessage(rnd), randomAttempt(rnd)
			p.Outcomes = append(p.Outcomes, randomOutcome(rnd, a))
			m.ID, a.ID, a.Endpoint = webhook.NewID(goldenMessage.Millis(), 3, uint32(i*1000)), webhook.NewID(goldenMessage.Millis(), 3, uint32(i)), goldenEndpoint
			messages, attempts = append(messages, m), append(attempts, a)
		}
		gotMessages, err := decodeMessages(goldenKey, encodeMessages(messages), goldenApp)
		wantSame(t, gotMessages, messages, err)
		gotAttempts, err := decodeAttempts(goldenKey, encodeAttempts(attempts), goldenEndpoint)
		wantSame(t, gotAttempts, attempts, err)
		messages[0].ID = webhook.ID{}
		gotMessage, err := decodeCreateMessage(encodeCreateMessage(&messages[0])[1:])
		wantSame(t, *gotMessage, messages[0], err)
		list := []webhook.Progress{p, {Endpoint: goldenApp}, p}
		term, gotList, err := decodeProgress(encodeProgress(rnd.Uint64(), list)[1:])
		wantSame(t, gotList, list, err)
		m := meta{index: rnd.Uint64(), term: term, clock: rnd.Int63(), bytes: rnd.Int63(), left: rnd.Int63(), confIndex: rnd.Uint64(), conf: append([]byte{1}, randomBytes(rnd, 50)...)}
		var gotMeta meta
		err = gotMeta.decode(m.encode())
		wantSame(t, gotMeta, m, err)
	}
}

func wantSame[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v; %v", got, want, err)
	}
}

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
	if err != nil || fmt.Sprint(v) != fmt.Sprint(v2) {
		t.Errorf("%+v became %+v, %v", v, v2, err)
	}
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
	addGolden(f, 0, "command createApplication", "command createEndpoint", "command deleteEndpoint", "command createMessage", "command recordProgress", "command fingerprint",
		"command createTask", "command stepTask", "command changeTask",
		"command createKey", "command revokeKeys", "command touchKeys", "command idempotent")
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
		s.applying.Lock() // go on as a restarted node would
		defer s.applying.Unlock()
		s.broken = nil
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
	f.Add([]byte(snapshotMagic))
	f.Add([]byte(snapshotMagic + "\x01k\x01v\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte(snapshotMagic + "\x01k\xff\xff\xff\x1f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := readSnapshot(db, bytes.NewReader(data), slog.New(slog.DiscardHandler), func() error { return nil }); err == nil {
			t.Skip("the sum was found")
		}
	})
}
