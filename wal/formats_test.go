package wal

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

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
	first.Trace = &webhook.Trace{Peer: netip.MustParseAddrPort("203.0.113.7:443"), TLS: tls.VersionTLS13, Control: webhook.ControlAbort, Settings: 77,
		Sent: 812, Received: 233, Lookup: time.Millisecond, Connect: 2 * time.Millisecond, Handshake: 3 * time.Millisecond, FirstByte: 4 * time.Millisecond,
		Headers: []byte("Server: x\n")}
	second.Trace = &webhook.Trace{Internal: true, Reused: true, Proxied: true, HeadersCut: true, Propagated: true, Headers: first.Trace.Headers}
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
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 303), EventType: "x", Payload: []byte("{}"), Trace: &webhook.TraceContext{
			TraceID: [16]byte{0: 0x4b, 15: 0x36}, SpanID: [8]byte{0, 7: 0xb7}, Sampled: true, State: "congo=t61"}},
		{App: goldenApp, ID: webhook.NewID(goldenMessage.Millis(), 3, 304), EventType: "x", Payload: []byte{}, Expunged: true,
			Trace: &webhook.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}},
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
		FeatureFlags: []string{"beta"}, Capabilities: []webhook.Capability{webhook.ViewBase}, SessionID: "s", CreatedAt: goldenTime, ExpiresAt: goldenTime, LastUsed: goldenTime}
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

type madeIn struct {
	entry webhook.ID
	by    maker
}

func changesFormat(removed uint64, change webhook.StateChange) format {
	list := []webhook.StateChange{change}
	encode := func() ([]byte, error) {
		text, err := encodeJSON(list)
		return (&changeRecord{removed, 1, text}).encode(), err
	}
	return format{list, encode, func(data []byte) (any, error) { return decodeChanges(data) }}
}

func plain(data []byte) func() ([]byte, error) { return func() ([]byte, error) { return data, nil } }

type onBehalf struct {
	actor   webhook.Actor
	command []byte
}

type idempotent struct {
	key, fingerprint [16]byte
	command          []byte
}

var goldenReply = keptReply{goldenEntry, [16]byte{3, 4}, kindResend, []byte("reply")}

var goldenTally = Tally{[]cell{{tallySucceeded, 6}, {tallyFailed, 300}, {tallyClass + 2, 306}, {tallyDuration + 20, 306}, {tallyDelivery + latencies - 1, 6}}}

var (
	goldenRemoval    = removal{goldenEndpoint, retryKey(goldenEndpoint, goldenTime, goldenMessage), &gathering{goldenApp, OneHour, 300}}
	goldenRemovedApp = removedApp{goldenApp, goldenKey, idKey(keyIndex, goldenMessage, goldenMessage)}
	goldenDropped    = droppedMessage{goldenMessage, goldenApp, goldenMessage}
)

type tallyName struct {
	period Period
	owner  TallyOwner
	start  uint64
}

type progressOfTerm struct {
	term uint64
	list []webhook.Progress
}

var goldenSettings = webhook.Settings{DisplayName: "Acme", Logo: "https://example.com/l.png", LogoDark: "https://example.com/d.png", Font: "Open Sans",
	Light: webhook.Palette{Primary: "#1a2b3c"}, Dark: webhook.Palette{TextSecondary: "#ffffff"}, UpdatedAt: goldenTime, Revision: 300}

var goldenActor = webhook.Actor{Type: webhook.ActorKey, Role: webhook.RoleApplication, Key: goldenMessage, Name: "portal", App: goldenApp, Session: "s"}

func goldenFormats() map[string]format {
	attempts := goldenAttempts()
	sent := webhook.Message{App: goldenApp, EventType: "user.created", EventID: "e", Channels: []string{"c"}, Payload: []byte("{}")}
	traced := sent
	traced.Trace = goldenMessages()[4].Trace
	several := []PlacedMessage{{Place: 0, Message: sent}, {Place: 2, Message: sent}}
	tracedBatch := []PlacedMessage{{Place: 0, Message: traced}, {Place: 2, Message: traced}}
	progress := progressOfTerm{7, []webhook.Progress{{Endpoint: goldenEndpoint, Cursor: goldenMessage,
		Outcomes: []webhook.Outcome{{Attempt: attempts[0]}, {Source: webhook.SourceRetry, Due: goldenTime, Scheduled: goldenTime, Attempt: attempts[1], Spent: 2, Key: 77}, {Attempt: webhook.Attempt{Message: goldenMessage}, Hold: true, Key: 77}, {Source: webhook.SourceManual, Attempt: attempts[0]}}}}}
	recorded := goldenAttempts()
	for i := range recorded {
		recorded[i].Endpoint, recorded[i].ID = goldenEndpoint, webhook.NewID(goldenMessage.Millis(), 3, uint32(i+1))
	}
	m := meta{index: 300, term: 7, clock: testClock, bytes: 1000, left: testClock - 5, expiries: [expiryClasses]int64{testClock - 7, testClock - 9}, tallies: tallyQueues{{300, 1000}, 8: {5, 7}}, removed: removedByClass{1: {300, testClock}}, untold: 400, confIndex: 5, conf: []byte("configuration")}
	c := cursor{position: goldenEndpoint, done: []webhook.ID{goldenMessage}, counts: counts{waiting: 1, held: 2, manual: 3, expired: 4, recent: recent{start: 5, data: appendTally(nil, &goldenTally)}},
		skips: []skip{{from: goldenEndpoint, to: goldenMessage, at: testClock}}}
	c.setHealth(&webhook.Health{Parked: true, Since: goldenTime, FailingSince: goldenTime, Probes: 3, NextProbe: goldenTime, LastFailure: "no answer"})
	resting := cursor{position: goldenEndpoint}
	resting.setHealth(&webhook.Health{FailingSince: goldenTime, LastFailure: "status 503", Rests: goldenTime})
	decodeCursor := func(data []byte) (v any, err error) { var c cursor; err = c.decode(data); return c, err }
	refused := &webhook.Error{Code: webhook.CodeInvalid, Detail: "why", Field: "uid"}
	step := stepOfTerm{7, webhook.TaskStep{Task: goldenApp, From: goldenEndpoint, To: goldenMessage, Looked: 300, Messages: []webhook.ID{goldenEndpoint, goldenMessage}}}
	return map[string]format{
		"command createApplication": commandFormat(kindCreateApplication, createApplication{Application: goldenApplication(), GetIfExists: true}),
		"command createEndpoint":    commandFormat(kindCreateEndpoint, goldenEndpointRecord()),
		"command retain":            commandFormat(kindRetain, retain{Before: testClock, Records: 300, Tallies: 1000, Parts: []part{{goldenApp, goldenMessage}}}),
		"command shrink":            commandFormat(kindRetain, retain{Size: 1000, Share: 100, Records: 300, Parts: []part{{goldenApp, goldenMessage}}}),
		"command retain, looked":    commandFormat(kindRetain, retain{Before: testClock, Records: 300, Looked: []part{{goldenApp, goldenMessage}}}),
		"key expiry": {webhook.Message{App: goldenApp, ID: goldenMessage}, plain(expiryLine(expiryOwn, testClock, goldenApp, goldenMessage)), func(data []byte) (any, error) {
			_, _, app, message := parseExpiryKey(data)
			return webhook.Message{App: app, ID: message}, nil
		}},
		"record front":           {front{goldenMessage, goldenEndpoint}, plain((&front{goldenMessage, goldenEndpoint}).encode()), func(data []byte) (any, error) { return decodeFront(data) }},
		"command expungeMessage": commandFormat(kindExpungeMessage, expunge{App: goldenApp, Message: goldenMessage}),
		"command expungeAttempt": commandFormat(kindExpungeAttempt, expunge{App: goldenApp, Message: goldenMessage, Attempt: goldenEntry}),
		"key tally": {tallyName{OneHour, AttemptsAt(goldenEndpoint), 300}, plain(tallyKey(OneHour, AttemptsAt(goldenEndpoint), 300)), func(data []byte) (any, error) {
			p, owner, start := parseTallyKey(data)
			return tallyName{p, owner, start}, nil
		}},
		"record tally":  {goldenTally, plain(encodeTally(&goldenTally)), func(data []byte) (any, error) { return decodeTally(data) }},
		"record recent": {&recent{start: 300, data: appendTally(nil, &goldenTally)}, plain(encodeRecent(&recent{start: 300, data: appendTally(nil, &goldenTally)})), func(data []byte) (any, error) { return decodeRecent(data) }},
		"command sweep": commandFormat(kindSweep, sweep{300}),
		"record removal": {goldenRemoval, plain(goldenRemoval.encode()), func(data []byte) (any, error) {
			return decodeRemoval(goldenRemoval.endpoint, data)
		}},
		"record removal of an application": {goldenRemovedApp, plain(goldenRemovedApp.encode()), func(data []byte) (any, error) {
			return decodeRemovedApp(goldenRemovedApp.id, data)
		}},
		"record dropped message": {goldenDropped, plain(goldenDropped.encode()), func(data []byte) (any, error) {
			return decodeDropped(goldenDropped.id, data)
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
		"record changes": changesFormat(0, webhook.StateChange{ID: goldenMessage, Change: webhook.EndpointParked, App: goldenApp, Endpoint: goldenEndpoint, Task: goldenMessage}),
		"key changes": {madeIn{goldenEntry, maker{makerCustomer, goldenApp}}, plain(changeKey(goldenEntry, maker{makerCustomer, goldenApp})), func(data []byte) (any, error) {
			entry, by := parseChangeKey(data)
			return madeIn{entry, by}, nil
		}},
		"key held": {webhook.Held{Key: 77, Message: goldenMessage}, plain(heldKey(goldenEndpoint, 77, goldenMessage)), func(data []byte) (any, error) { return parseHeldKey(data), nil }},
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
		"command disableEndpoint":   commandFormat(kindDisableEndpoint, disableEndpoint{Term: 7, Endpoint: goldenEndpoint, FailSince: goldenTime}),
		"command disable, revision": commandFormat(kindDisableEndpoint, disableEndpoint{7, goldenEndpoint, goldenTime, 300}),
		"record event type":         jsonFormat(goldenEventType()),
		"command deleteEndpoint":    commandFormat(kindDeleteEndpoint, deleteEndpoint{goldenApp, goldenEndpoint}),
		"command createMessage": {sent, plain(appendCreateMessage(nil, &sent)), func(data []byte) (any, error) {
			m, err := decodeCreateMessage(data[1:])
			return *m, err
		}},
		"command createMessage with a trace": {traced, plain(appendCreateMessage(nil, &traced)), func(data []byte) (any, error) {
			m, err := decodeCreateMessage(data[1:])
			return *m, err
		}},
		"command createMessages with a trace": {createMessages{goldenApp, tracedBatch}, plain(encodeCreateMessages(goldenApp, tracedBatch)), func(data []byte) (any, error) {
			c, err := decodeCreateMessages(data[1:])
			return *c, err
		}},
		"command createMessages": {createMessages{goldenApp, several}, plain(encodeCreateMessages(goldenApp, several)), func(data []byte) (any, error) {
			c, err := decodeCreateMessages(data[1:])
			return *c, err
		}},
		"command putSettings":  commandFormat(kindPutSettings, goldenSettings),
		"record settings":      jsonFormat(goldenSettings),
		"command recordMember": commandFormat(kindRecordMember, recordMember{webhook.MemberAdded, "n2"}),
		"command behalf": {onBehalf{goldenActor, encodeFingerprint()}, func() ([]byte, error) { return encodeBehalf(&goldenActor, encodeFingerprint()) }, func(data []byte) (any, error) {
			actor, command, err := decodeBehalf(data[1:])
			return onBehalf{actor, command}, err
		}},
		"record changes of actors": changesFormat(300, webhook.StateChange{ID: goldenMessage, Change: webhook.KeyCreated, By: goldenActor, App: goldenApp, Message: goldenMessage, Attempt: goldenEntry,
			Key: goldenMessage, EventType: "user.created", Member: "n2"}),
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
		"command keepAnswer": {keepAnswer("{}"), plain(encodeKeepAnswer([]byte("{}"))), func(data []byte) (any, error) { return decodeKeepAnswer(data[1:]) }},
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
			t.Errorf("%s is in %s, but nothing reads it", name, formatsFile)
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
